//! What the bot itself says to people, by language. The texts around codes are the operator's: see
//! [`crate::channels::text`].

/// Everything that the bot says in one language. Plain text; `{phone}` stands for a number with its middle hidden.
#[derive(Debug)]
pub(super) struct Phrases {
    /// The language, as Telegram's clients say it.
    pub(super) language: &'static str,
    /// To whoever comes for the first time.
    pub(super) welcome: &'static str,
    /// On the button that shares one's own number.
    pub(super) share: &'static str,
    /// Once the number is known.
    pub(super) linked: &'static str,
    /// To a contact that is not the sender's own.
    pub(super) not_own: &'static str,
    /// To a number that is none.
    pub(super) bad_number: &'static str,
    /// After /stop.
    pub(super) stopped: &'static str,
    /// To /help, and to whatever is not understood.
    pub(super) help: &'static str,
    /// A message whose code is behind a button.
    pub(super) hidden: &'static str,
    /// On that button.
    pub(super) show_code: &'static str,
    /// On the button that copies the code, before it.
    pub(super) copy: &'static str,
    /// To a button whose code is dead.
    pub(super) dead: &'static str,
    /// To a button that cannot be seen to just now.
    pub(super) try_again: &'static str,
    /// What /start, /stop and /help are for.
    pub(super) commands: [&'static str; 3],
}

/// The bot's commands, in the order of [`Phrases::commands`].
pub(super) const COMMANDS: [&str; 3] = ["start", "stop", "help"];

impl Phrases {
    /// What is said in a language such as `pt-br`; English where it is not spoken here.
    pub(super) fn of(language: &str) -> &'static Phrases {
        let bare = language.split(['-', '_']).next().unwrap_or_default();
        ALL.iter().find(|phrases| phrases.language.eq_ignore_ascii_case(bare)).unwrap_or(&ENGLISH)
    }
}

const ENGLISH: Phrases = Phrases {
    language: "en",
    welcome: "Verification codes for your phone number can arrive here. Share your number with the button below, so that \
              they find you.",
    share: "Share my number",
    linked: "Done. Verification codes for {phone} arrive here from now on. Send /stop to end this.",
    not_own: "This is not your own number. Please use the button below: it shares the number of your account.",
    bad_number: "This number cannot be used.",
    stopped: "No more codes arrive here. Send /start to begin again.",
    help: "This bot delivers verification codes.\n/start: receive them here\n/stop: no longer receive them here",
    hidden: "Your verification code is here.",
    show_code: "Show the code",
    copy: "Copy",
    dead: "This code is no longer valid.",
    try_again: "That did not work. Please try again in a moment.",
    commands: ["Receive verification codes here", "No longer receive them here", "What this bot does"],
};

/// Every language that the bot speaks.
pub(super) const ALL: [Phrases; 7] = [
    ENGLISH,
    Phrases {
        language: "de",
        welcome: "Bestätigungscodes für Ihre Telefonnummer können hier ankommen. Teilen Sie Ihre Nummer mit der Taste \
                  unten, damit sie Sie finden.",
        share: "Meine Nummer teilen",
        linked: "Fertig. Bestätigungscodes für {phone} kommen ab jetzt hier an. Mit /stop endet das.",
        not_own: "Das ist nicht Ihre eigene Nummer. Bitte nehmen Sie die Taste unten: Sie teilt die Nummer Ihres Kontos.",
        bad_number: "Diese Nummer kann nicht verwendet werden.",
        stopped: "Hier kommen keine Codes mehr an. Mit /start beginnt es von Neuem.",
        help: "Dieser Bot stellt Bestätigungscodes zu.\n/start: sie hier erhalten\n/stop: sie hier nicht mehr erhalten",
        hidden: "Ihr Bestätigungscode ist da.",
        show_code: "Code anzeigen",
        copy: "Kopieren:",
        dead: "Dieser Code ist nicht mehr gültig.",
        try_again: "Das hat nicht geklappt. Bitte versuchen Sie es gleich noch einmal.",
        commands: ["Bestätigungscodes hier erhalten", "Sie hier nicht mehr erhalten", "Was dieser Bot tut"],
    },
    Phrases {
        language: "es",
        welcome: "Los códigos de verificación para tu número pueden llegar aquí. Comparte tu número con el botón de abajo \
                  para que te encuentren.",
        share: "Compartir mi número",
        linked: "Listo. Los códigos de verificación para {phone} llegarán aquí desde ahora. Envía /stop para dejarlo.",
        not_own: "Ese no es tu propio número. Usa el botón de abajo: comparte el número de tu cuenta.",
        bad_number: "Este número no se puede usar.",
        stopped: "Ya no llegarán códigos aquí. Envía /start para empezar de nuevo.",
        help: "Este bot entrega códigos de verificación.\n/start: recibirlos aquí\n/stop: dejar de recibirlos aquí",
        hidden: "Tu código de verificación está aquí.",
        show_code: "Mostrar el código",
        copy: "Copiar",
        dead: "Este código ya no es válido.",
        try_again: "No ha funcionado. Inténtalo de nuevo en un momento.",
        commands: ["Recibir códigos aquí", "Dejar de recibirlos aquí", "Qué hace este bot"],
    },
    Phrases {
        language: "fr",
        welcome: "Les codes de vérification pour votre numéro peuvent arriver ici. Partagez votre numéro avec le bouton \
                  ci-dessous pour qu’ils vous trouvent.",
        share: "Partager mon numéro",
        linked: "C’est fait. Les codes de vérification pour {phone} arrivent désormais ici. Envoyez /stop pour arrêter.",
        not_own: "Ce n’est pas votre propre numéro. Utilisez le bouton ci-dessous : il partage le numéro de votre compte.",
        bad_number: "Ce numéro ne peut pas être utilisé.",
        stopped: "Plus aucun code n’arrivera ici. Envoyez /start pour recommencer.",
        help: "Ce bot remet des codes de vérification.\n/start : les recevoir ici\n/stop : ne plus les recevoir ici",
        hidden: "Votre code de vérification est là.",
        show_code: "Afficher le code",
        copy: "Copier",
        dead: "Ce code n’est plus valable.",
        try_again: "Cela n’a pas marché. Réessayez dans un instant.",
        commands: ["Recevoir les codes ici", "Ne plus les recevoir ici", "Ce que fait ce bot"],
    },
    Phrases {
        language: "it",
        welcome: "I codici di verifica per il tuo numero possono arrivare qui. Condividi il tuo numero con il pulsante qui \
                  sotto, così ti trovano.",
        share: "Condividi il mio numero",
        linked: "Fatto. D’ora in poi i codici di verifica per {phone} arrivano qui. Invia /stop per smettere.",
        not_own: "Questo non è il tuo numero. Usa il pulsante qui sotto: condivide il numero del tuo account.",
        bad_number: "Questo numero non può essere usato.",
        stopped: "Qui non arriveranno più codici. Invia /start per ricominciare.",
        help: "Questo bot consegna codici di verifica.\n/start: riceverli qui\n/stop: non riceverli più qui",
        hidden: "Il tuo codice di verifica è qui.",
        show_code: "Mostra il codice",
        copy: "Copia",
        dead: "Questo codice non è più valido.",
        try_again: "Non ha funzionato. Riprova tra un momento.",
        commands: ["Ricevere i codici qui", "Non riceverli più qui", "Che cosa fa questo bot"],
    },
    Phrases {
        language: "pt",
        welcome: "Os códigos de verificação do seu número podem chegar aqui. Partilhe o seu número com o botão abaixo, \
                  para que o encontrem.",
        share: "Partilhar o meu número",
        linked: "Pronto. Os códigos de verificação para {phone} chegam aqui a partir de agora. Envie /stop para terminar.",
        not_own: "Este não é o seu próprio número. Use o botão abaixo: partilha o número da sua conta.",
        bad_number: "Este número não pode ser usado.",
        stopped: "Não chegarão mais códigos aqui. Envie /start para recomeçar.",
        help: "Este bot entrega códigos de verificação.\n/start: recebê-los aqui\n/stop: deixar de os receber aqui",
        hidden: "O seu código de verificação está aqui.",
        show_code: "Mostrar o código",
        copy: "Copiar",
        dead: "Este código já não é válido.",
        try_again: "Não funcionou. Tente de novo daqui a pouco.",
        commands: ["Receber códigos aqui", "Deixar de os receber aqui", "O que este bot faz"],
    },
    Phrases {
        language: "ru",
        welcome: "Сюда могут приходить коды подтверждения для вашего номера. Поделитесь номером с помощью кнопки ниже, \
                  чтобы они вас нашли.",
        share: "Поделиться моим номером",
        linked: "Готово. Коды подтверждения для {phone} теперь приходят сюда. Чтобы прекратить, отправьте /stop.",
        not_own: "Это не ваш собственный номер. Используйте кнопку ниже: она отправит номер вашего аккаунта.",
        bad_number: "Этот номер нельзя использовать.",
        stopped: "Коды сюда больше не приходят. Чтобы начать снова, отправьте /start.",
        help: "Этот бот доставляет коды подтверждения.\n/start: получать их здесь\n/stop: больше не получать их здесь",
        hidden: "Ваш код подтверждения здесь.",
        show_code: "Показать код",
        copy: "Скопировать",
        dead: "Этот код больше не действителен.",
        try_again: "Не получилось. Попробуйте ещё раз чуть позже.",
        commands: ["Получать коды здесь", "Больше не получать их здесь", "Что делает этот бот"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_with_and_without_its_region() {
        for (wanted, found) in [
            ("de", "de"),
            ("de-AT", "de"),
            ("pt_BR", "pt"),
            ("RU", "ru"),
            ("", "en"),
            ("xx", "en"),
            ("en-gb", "en"),
        ] {
            assert_eq!(Phrases::of(wanted).language, found, "{wanted:?}");
        }
    }

    /// Bounds of the Bot API: an alert has 200 characters, the description of a command 256.
    #[test]
    fn every_phrase_fits_where_it_goes() {
        for phrases in &ALL {
            assert!(phrases.linked.contains("{phone}"), "{}", phrases.language);
            for alert in [phrases.dead, phrases.try_again] {
                assert!((1..=200).contains(&alert.chars().count()), "{alert}");
            }
            assert!(phrases.commands.iter().all(|text| (1..=256).contains(&text.chars().count())));
            for label in [phrases.share, phrases.show_code, phrases.copy] {
                assert!((1..=40).contains(&label.chars().count()), "{label}");
            }
        }
    }
}
