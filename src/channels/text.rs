//! The texts of messages, by language.

use crate::numbering;
use chappe_core::{Country, Phone};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest text that can be set, in characters: what ten parts of an SMS in any script hold.
const TEXT_MAX_CHARS: usize = 670;
/// The longest brand, in characters.
const BRAND_MAX_CHARS: usize = 64;
/// The language where nothing says otherwise.
const FALLBACK: &str = "en";

/// The texts that come with Chappe. A brand is put before them, where there is one.
const BUILT_IN: [(&str, &str); 26] = [
    ("ar", "رمز التحقق: {code}. صالح لمدة {minutes} دقيقة. لا تشاركه."),
    ("bn", "যাচাইকরণ কোড: {code}। {minutes} মিনিট বৈধ। কাউকে জানাবেন না।"),
    ("cs", "Ověřovací kód: {code}. Platí {minutes} min. Nikomu ho nesdělujte."),
    ("de", "Ihr Bestätigungscode: {code}. Gültig für {minutes} Min. Nicht weitergeben."),
    ("el", "Κωδικός: {code}. Ισχύει για {minutes} λεπτά. Μην τον κοινοποιήσετε."),
    ("en", "Your verification code is {code}. It is valid for {minutes} min. Do not share it."),
    ("es", "Tu código es {code}. Válido {minutes} min. No lo compartas."),
    ("fa", "کد تأیید شما: {code}. تا {minutes} دقیقه معتبر است. به کسی ندهید."),
    ("fr", "Votre code de vérification est {code}. Valable {minutes} min. Ne le partagez pas."),
    ("he", "קוד האימות: {code}. בתוקף {minutes} דקות. אין לשתף אותו."),
    ("hi", "सत्यापन कोड: {code}। {minutes} मिनट तक मान्य। किसी को न बताएँ।"),
    ("id", "Kode verifikasi Anda {code}. Berlaku {minutes} menit. Jangan bagikan kepada siapa pun."),
    ("it", "Il tuo codice di verifica è {code}. Valido per {minutes} min. Non condividerlo."),
    ("ja", "確認コード: {code}（{minutes}分間有効）。他の人に教えないでください。"),
    ("ko", "인증번호는 {code}입니다. {minutes}분간 유효합니다. 타인에게 알려주지 마세요."),
    ("nl", "Je verificatiecode is {code}. Geldig gedurende {minutes} min. Deel deze code niet."),
    ("pl", "Kod weryfikacyjny: {code}. Ważny {minutes} min. Nie udostępniaj."),
    ("pt", "O seu código é {code}. Válido por {minutes} min. Não o partilhe."),
    ("pt-br", "Seu código é {code}. Válido por {minutes} min. Não compartilhe."),
    ("ro", "Codul de verificare: {code}. Valabil {minutes} min. Nu îl divulgați."),
    ("ru", "Код подтверждения: {code}. Действует {minutes} мин. Не сообщайте его."),
    ("th", "รหัสยืนยันของคุณคือ {code} ใช้ได้ภายใน {minutes} นาที ห้ามบอกผู้อื่น"),
    ("tr", "Doğrulama kodu: {code}. {minutes} dk geçerlidir. Kimseyle paylaşmayın."),
    ("uk", "Код підтвердження: {code}. Діє {minutes} хв. Нікому не повідомляйте."),
    ("vi", "Mã xác minh: {code}. Hiệu lực {minutes} phút. Không chia sẻ mã này."),
    ("zh", "您的验证码是 {code}，{minutes} 分钟内有效。请勿告知他人。"),
];

/// The language of countries where one serves nearly everybody; for all others it is English.
const LANGUAGES: [(&str, &[&str]); 26] = [
    ("ar", &["AE", "BH", "DZ", "EG", "IQ", "JO", "KW", "LB", "LY", "MA", "OM", "QA", "SA", "SY", "TN", "YE"]),
    ("bn", &["BD"]),
    ("cs", &["CZ"]),
    ("de", &["AT", "DE", "LI"]),
    ("el", &["CY", "GR"]),
    ("en", &[]),
    (
        "es",
        &[
            "AR", "BO", "CL", "CO", "CR", "CU", "DO", "EC", "ES", "GQ", "GT", "HN", "MX", "NI", "PA", "PE",
            "PR", "PY", "SV", "UY", "VE",
        ],
    ),
    ("fa", &["IR"]),
    ("fr", &["BF", "BJ", "CG", "CI", "FR", "GA", "GF", "GN", "GP", "MC", "ML", "MQ", "NE", "RE", "SN", "TG"]),
    ("he", &["IL"]),
    ("hi", &[]),
    ("id", &["ID"]),
    ("it", &["IT", "SM", "VA"]),
    ("ja", &["JP"]),
    ("ko", &["KR"]),
    ("nl", &["NL", "SR"]),
    ("pl", &["PL"]),
    ("pt", &["AO", "CV", "MZ", "PT"]),
    ("pt-br", &["BR"]),
    ("ro", &["MD", "RO"]),
    ("ru", &["BY", "KG", "KZ", "RU"]),
    ("th", &["TH"]),
    ("tr", &["TR"]),
    ("uk", &["UA"]),
    ("vi", &["VN"]),
    ("zh", &["CN"]),
];

/// The texts of a configuration: those that come with Chappe, and the operator's own over them.
#[derive(Clone, Debug)]
pub struct Texts {
    by_language: BTreeMap<String, String>,
    brand: String,
    minutes: u64,
}

/// Texts that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Not a language.
    #[error("{0:?} is no language: write it as \"pt\" or \"pt-br\"")]
    Language(String),
    /// Something in braces that stands for nothing.
    #[error(
        "the text for {language:?} has {placeholder:?}: only {{code}}, {{brand}} and {{minutes}} stand for something"
    )]
    Placeholder {
        /// Of which language.
        language: String,
        /// What stands there.
        placeholder: String,
    },
    /// Without a code it is of no use.
    #[error("the text for {0:?} has no {{code}}")]
    NoCode(String),
    /// It names a brand, and there is none.
    #[error("the text for {0:?} has {{brand}}, and texts.brand is empty")]
    NoBrand(String),
    /// Too long, or with characters that no message should have.
    #[error("the text for {0:?} is longer than {TEXT_MAX_CHARS} characters, or has control characters in it")]
    Text(String),
    /// Too long, or with characters that no message should have.
    #[error(
        "texts.brand is longer than {BRAND_MAX_CHARS} characters, or has braces or control characters in it"
    )]
    Brand,
}

impl Texts {
    /// The built-in texts and, over them, the operator's own by language. A code is good for `code_life`.
    pub fn new(
        brand: &str,
        own: &BTreeMap<String, String>,
        code_life: Duration,
    ) -> Result<Texts, InvalidText> {
        let brand = brand.trim().to_owned();
        let printable = !brand.contains(|char: char| char.is_control() || matches!(char, '{' | '}'));
        if !printable || brand.chars().count() > BRAND_MAX_CHARS {
            return Err(InvalidText::Brand);
        }
        let mut texts = Texts::built_in(brand, code_life);
        for (language, text) in own {
            let language = normal(language);
            check(&language, text, !texts.brand.is_empty())?;
            texts.by_language.insert(language, text.clone());
        }
        Ok(texts)
    }

    fn built_in(brand: String, code_life: Duration) -> Texts {
        let prefix = if brand.is_empty() { "" } else { "{brand}: " };
        let texts =
            BUILT_IN.iter().map(|(language, text)| ((*language).to_owned(), format!("{prefix}{text}")));
        let minutes = (code_life.as_secs() / 60).max(1);
        Texts { by_language: texts.collect(), brand, minutes }
    }

    /// The language of a message: as somebody wants it (`pt-br`, or empty if nobody said), or else that of the number's
    /// country; English where there is no text in it.
    pub fn language(&self, wanted: &str, phone: Phone) -> &str {
        self.written(wanted).unwrap_or_else(|| self.of_country(numbering::country(phone)))
    }

    /// Whether there is a text in this language itself, be it that of a region.
    pub fn knows(&self, language: &str) -> bool {
        self.written(language).is_some()
    }

    /// Every language that there is a text in.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.by_language.keys().map(String::as_str)
    }

    fn of_country(&self, country: Country) -> &str {
        let spoken = LANGUAGES.iter().find(|(_, countries)| countries.contains(&country.as_str()));
        spoken.and_then(|(language, _)| self.written(language)).unwrap_or(FALLBACK)
    }

    /// The language in which there is a text: the very one, or the one without its region.
    fn written(&self, wanted: &str) -> Option<&str> {
        let wanted = normal(wanted);
        let bare = wanted.split('-').next().unwrap_or_default();
        let found = self.by_language.get_key_value(wanted.as_str());
        found.or_else(|| self.by_language.get_key_value(bare)).map(|(language, _)| language.as_str())
    }

    /// The text in a language, for a code. `webotp` is the domain whose pages may fill the code in by themselves: it makes a
    /// last line as "Origin-bound one-time codes delivered via SMS" of the WICG has it.
    pub fn render(&self, language: &str, code: &str, webotp: Option<&str>) -> String {
        let language = self.written(language).unwrap_or(FALLBACK);
        let template = self.by_language.get(language).map(String::as_str).unwrap_or("{code}");
        let minutes = self.minutes.to_string();
        // The brand holds no braces, so nothing that is put in is taken for a placeholder.
        let text = template.replace("{brand}", &self.brand).replace("{minutes}", &minutes);
        let text = text.replace("{code}", code);
        match webotp {
            Some(domain) => format!("{text}\n\n@{domain} #{code}"),
            None => text,
        }
    }
}

/// The built-in texts, without a brand, for codes of ten minutes.
impl Default for Texts {
    fn default() -> Texts {
        Texts::built_in(String::new(), Duration::from_secs(600))
    }
}

/// A domain that codes can be bound to: labels of ASCII letters, digits and hyphens (one in another script is written in
/// its `xn--` form), without scheme, port or path.
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

/// A language as the tables have it: `pt-br` for `pt_BR`.
fn normal(language: &str) -> String {
    language.trim().replace('_', "-").to_ascii_lowercase()
}

fn check(language: &str, text: &str, has_brand: bool) -> Result<(), InvalidText> {
    let owned = || language.to_owned();
    let mut subtags = language.split('-');
    let primary = subtags.next().is_some_and(|tag| (2..=3).contains(&tag.len()) && letters(tag));
    if !primary || language.len() > 16 || !subtags.all(|tag| !tag.is_empty() && alphanumeric(tag)) {
        return Err(InvalidText::Language(owned()));
    }
    let control = |char: char| char.is_control() && char != '\n';
    if text.chars().count() > TEXT_MAX_CHARS || text.contains(control) {
        return Err(InvalidText::Text(owned()));
    }
    if let Some(placeholder) = strange_brace(text) {
        return Err(InvalidText::Placeholder { language: owned(), placeholder });
    }
    if !text.contains("{code}") {
        return Err(InvalidText::NoCode(owned()));
    }
    if text.contains("{brand}") && !has_brand {
        return Err(InvalidText::NoBrand(owned()));
    }
    Ok(())
}

fn letters(tag: &str) -> bool {
    tag.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn alphanumeric(tag: &str) -> bool {
    tag.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The first thing in braces that stands for nothing.
fn strange_brace(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let from = rest.get(at..).unwrap_or_default();
        let known = ["{code}", "{brand}", "{minutes}"].into_iter().find(|known| from.starts_with(known));
        match known {
            Some(known) => rest = from.get(known.len()..).unwrap_or_default(),
            None => {
                let end = from.find('}').map_or(from.len(), |end| end + 1);
                return from.get(..end).map(str::to_owned);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(brand: &str, own: &[(&str, &str)]) -> Result<Texts, InvalidText> {
        let own = own.iter().map(|(language, text)| ((*language).to_owned(), (*text).to_owned())).collect();
        Texts::new(brand, &own, Duration::from_secs(600))
    }

    fn phone(text: &str) -> Phone {
        Phone::parse(text).unwrap()
    }

    #[test]
    fn every_text_that_comes_along_is_good_and_short() {
        for brand in ["", "Example"] {
            let texts = texts(brand, &[]).unwrap();
            for (language, text) in BUILT_IN {
                check(language, text, false).unwrap();
                let shown = texts.render(language, "12345678", None);
                assert!(
                    shown.contains("12345678") && shown.contains("10") && !shown.contains('{'),
                    "{shown}"
                );
                assert_eq!(shown.starts_with("Example: "), !brand.is_empty());
                // A code of six digits takes a single SMS: of 160 characters in the GSM alphabet, of 70 in any other.
                let sms = texts.render(language, "123456", None);
                let gsm = sms.chars().all(|char| char.is_ascii() || "äöüßéèùìò".contains(char));
                let most = if gsm { 160 } else { 70 };
                assert!(!brand.is_empty() || sms.encode_utf16().count() <= most, "{language}: {sms}");
            }
        }
    }

    #[test]
    fn each_language_has_its_line_in_both_tables() {
        assert!(
            BUILT_IN.iter().map(|(language, _)| language).eq(LANGUAGES.iter().map(|(language, _)| language))
        );
        let mut countries: Vec<_> = LANGUAGES.iter().flat_map(|(_, countries)| *countries).collect();
        countries.sort();
        assert!(countries.windows(2).all(|pair| pair[0] != pair[1]), "a country has one language");
        assert!(countries.iter().all(|country| Country::parse(country).is_some()));
    }

    #[test]
    fn a_language_is_the_wanted_one_or_that_of_the_country() {
        let texts = texts("", &[("de-CH", "Dein Code: {code}")]).unwrap();
        let (us, italy, brazil) = (phone("+14155550123"), phone("+393331234567"), phone("+5511987654321"));
        for (wanted, phone, expected) in [
            ("pt-br", us, "pt-br"),
            ("pt_BR", us, "pt-br"),
            ("PT-AO", us, "pt"),
            ("de-ch", us, "de-ch"),
            ("de-AT", us, "de"),
            ("xx", italy, "it"),
            ("", italy, "it"),
            ("", brazil, "pt-br"),
            ("", us, "en"),
            ("", phone("+9996600001"), "en"),
            ("../../etc", us, "en"),
        ] {
            assert_eq!(texts.language(wanted, phone), expected, "{wanted:?}");
        }
    }

    #[test]
    fn own_texts_lie_over_those_that_come_along() {
        let texts = texts("Example", &[("en", "{brand} code {code}"), ("eo", "Via kodo: {code}")]).unwrap();
        assert_eq!(texts.render("en", "1234", None), "Example code 1234");
        assert_eq!(texts.render("eo", "1234", None), "Via kodo: 1234");
        assert!(texts.render("de", "1234", None).starts_with("Example: Ihr"));
    }

    #[test]
    fn the_last_line_binds_the_code_to_a_domain() {
        let texts = texts("", &[("en", "{code} is your code.")]).unwrap();
        let text = texts.render("en", "747723", Some("example.com"));
        assert_eq!(text, "747723 is your code.\n\n@example.com #747723");
        assert!(is_domain("example.com") && is_domain("login.xn--bcher-kva.example"));
        for domain in
            ["", "example", "https://example.com", "example.com/", "Example.com", "a b.com", "-a.com", "a..b"]
        {
            assert!(!is_domain(domain), "{domain:?}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_named() {
        let placeholder = |text: &str| match texts("x", &[("en", text)]).unwrap_err() {
            InvalidText::Placeholder { placeholder, .. } => placeholder,
            other => panic!("{other}"),
        };
        assert_eq!(placeholder("{code} {name}"), "{name}");
        assert_eq!(placeholder("{code} {CODE}"), "{CODE}");
        assert_eq!(placeholder("{code} { brand }"), "{ brand }");
        assert_eq!(placeholder("{code}}"), "}");
        assert_eq!(placeholder("{code} {"), "{");
        assert_eq!(placeholder("{{code}}"), "{{code}");
        assert_eq!(texts("", &[("en", "hello")]).unwrap_err(), InvalidText::NoCode("en".to_owned()));
        assert_eq!(
            texts("", &[("en", "{brand} {code}")]).unwrap_err(),
            InvalidText::NoBrand("en".to_owned())
        );
        assert!(matches!(texts("", &[("english", "{code}")]), Err(InvalidText::Language(_))));
        assert!(matches!(texts("", &[("en", "{code}\u{7}")]), Err(InvalidText::Text(_))));
        assert!(matches!(
            texts("", &[("en", &format!("{{code}}{}", "x".repeat(665)))]),
            Err(InvalidText::Text(_))
        ));
        assert_eq!(texts("a{b", &[]).unwrap_err(), InvalidText::Brand);
    }

    #[test]
    fn minutes_are_those_of_a_code_rounded_down_and_never_none() {
        for (life_s, minutes) in [(30, "1"), (60, "1"), (119, "1"), (120, "2"), (600, "10")] {
            let own = BTreeMap::from([("en".to_owned(), "{minutes}/{code}".to_owned())]);
            let texts = Texts::new("", &own, Duration::from_secs(life_s)).unwrap();
            assert_eq!(texts.render("en", "1234", None), format!("{minutes}/1234"));
        }
    }
}
