//! The database URL: where the server is, how to log in, and whom to trust.

use crate::net::roots::roots_of;
use crate::store::records::StoreError;
use percent_encoding::percent_decode_str;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a connection may take to be made, to each address of the server.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long everything may take that is said first over a new connection.
const GREETING_MAX: Duration = Duration::from_secs(2);
/// How long sent bytes may stay unacknowledged before the connection counts as lost.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(8);
/// How long a connection may be silent before the other end is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;

const FORM: &str = "postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full";

/// Where the server is, and how to speak to it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// The servers and the database, for messages: neither the user nor the password.
    pub(super) place: String,
}

impl Address {
    /// Reads a URL. No message says more of it than the names of its options: a password with a `/` or a `?` in it that
    /// was not percent-encoded turns up anywhere.
    pub(super) fn parse(url: &str) -> Result<Address, StoreError> {
        let url = url.trim();
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(StoreError::Address(format!("it must look like {FORM}")));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut rest = Vec::new();
        let (mut verified, mut roots) = (false, None);
        for option in query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", "verify-full")) => verified = true,
                Some(("sslmode", "disable" | "prefer" | "require")) => rest.push(option),
                Some(("sslmode", _)) => {
                    let modes = "sslmode is one of disable, prefer, require and verify-full";
                    return Err(StoreError::Address(modes.to_owned()));
                }
                Some(("sslrootcert", file)) => {
                    roots = Some(percent_decode_str(file).decode_utf8_lossy().into_owned());
                }
                Some(_) => rest.push(option),
                None => {
                    let unclear =
                        "an option after the ? has no value; percent-encode a ? in the password as %3F";
                    return Err(StoreError::Address(unclear.to_owned()));
                }
            }
        }
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let mut config: Config = plain.parse().map_err(|_| {
            let what = format!("it must look like {FORM}, with special characters in it percent-encoded");
            StoreError::Address(what)
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(StoreError::Address(format!("it names no server; it must look like {FORM}")));
        }
        if verified {
            config.ssl_mode(SslMode::Require);
        }
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_MAX));
        config.tcp_user_timeout(UNACKNOWLEDGED_MAX);
        config.keepalives(true).keepalives_idle(KEEPALIVE_IDLE);
        config.keepalives_interval(KEEPALIVE_INTERVAL).keepalives_retries(KEEPALIVE_RETRIES);
        if config.get_application_name().is_none() {
            config.application_name("chappe");
        }
        // Of several servers, the one that can be written to, also after they changed places.
        if config.get_hosts().len().max(config.get_hostaddrs().len()) > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        // As everywhere in PostgreSQL, only verify-full (or a root certificate that was given) says whom one speaks to.
        let tls = tls(verified || roots.is_some(), roots.as_deref())?;
        let place = place(&config);
        Ok(Address { config, tls, place })
    }

    /// How long connecting may take in all: each server has its time before the next one is tried, for it is the last one
    /// that may be the only one left.
    pub(super) fn connect_max(&self) -> Duration {
        let servers = self.config.get_hosts().len().max(self.config.get_hostaddrs().len());
        let each = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_MAX);
        each.saturating_mul(servers as u32) + GREETING_MAX
    }
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let host = |(at, host): (usize, &Host)| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    };
    let named: Vec<_> = config.get_hosts().iter().enumerate().map(host).collect();
    let by_number: Vec<_> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    let hosts = if named.is_empty() { by_number } else { named };
    let database = config.get_dbname().or(config.get_user()).unwrap_or("");
    format!("{}/{database}", hosts.join(","))
}

fn tls(verified: bool, roots: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Other(error.to_string()))?;
    let config = if verified {
        let file = roots.filter(|file| *file != "system");
        let unusable =
            |error| StoreError::Address(format!("sslrootcert {}: {error}", file.unwrap_or_default()));
        let roots = Arc::new(roots_of(file.map(Path::new)).map_err(unusable)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|error| StoreError::Address(format!("sslrootcert: {error}")))?;
        builder.with_webpki_verifier(verifier).with_no_client_auth()
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))).with_no_client_auth()
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Encrypts without asking whom one speaks to: what `sslmode=prefer` and `sslmode=require` mean.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Address::parse(url).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_url_names_servers_and_a_database() {
        let address =
            Address::parse("postgres://chappe:secret@db.example:6432/gateway?sslmode=verify-full").unwrap();
        assert_eq!(address.place, "db.example:6432/gateway");
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        let several = Address::parse("postgresql://chappe@one,two:5433/gateway").unwrap();
        assert_eq!(several.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        let socket = Address::parse("postgres:///gateway?host=/var/run/postgresql&user=chappe").unwrap();
        assert_eq!(socket.place, "/var/run/postgresql:5432/gateway");
    }

    #[test]
    fn every_server_has_its_time_to_answer() {
        let patience = |url: &str| Address::parse(url).unwrap().connect_max().as_secs();
        assert_eq!(patience("postgres://chappe@one/gateway"), 5);
        assert_eq!(patience("postgres://chappe@one,two,three/gateway"), 11);
        assert_eq!(patience("postgres://chappe@one/gateway?connect_timeout=10"), 12);
    }

    #[test]
    fn what_is_no_url_is_refused_without_a_word_of_the_password() {
        for url in [
            "",
            "mysql://chappe:hunter2@db/gateway",
            "postgres://",
            "postgres:///gateway",
            "postgres://chappe:hun?ter2@db/gateway",
            "postgres://chappe:hunter2@db:port/gateway",
            "postgres://chappe:hunter2@db/gateway?sslmode=hunter2",
            "postgres://chappe:hunter2@db/gateway?hunter2=1",
            "host=db password=hunter2",
        ] {
            let refusal = refusal(url);
            assert!(!refusal.is_empty() && !refusal.contains("ter2"), "{url}: {refusal}");
        }
        assert!(refusal("postgres://db/x?sslmode=verify-ca").contains("verify-full"));
        assert!(refusal("postgres://db/x?sslrootcert=/no/such/file").contains("/no/such/file"));
        let empty = "sslrootcert /dev/null: there is no certificate in it";
        assert!(refusal("postgres://db/x?sslrootcert=/dev/null").contains(empty));
    }
}
