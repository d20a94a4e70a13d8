//! TLS, with certificates made for the test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use scouter_transport::grpc::{Grpc, GrpcConfig};
use scouter_transport::http::{Http, HttpConfig};
use scouter_transport::{Endpoint, ErrorKind, Payload, TlsConfig, Transport};
use tokio_rustls::TlsAcceptor;

use crate::server::Server;

/// An authority, and what it signed.
struct Papers {
    ca: String,
    server: (String, String),
    client: (String, String),
}

impl Papers {
    /// The server's certificate expires at the beginning of this year.
    fn until(server_until: i32) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let signed = |name: &str, until: i32| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        Self { ca: issuer.pem(), server: signed("127.0.0.1", server_until), client: signed("client.test", 2999) }
    }

    fn new() -> Self {
        Self::until(2999)
    }

    fn acceptor(&self, wants_client: bool) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if wants_client {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = &self.server;
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

fn transports(url: &str, tls: &TlsConfig) -> [Box<dyn Transport>; 2] {
    let endpoint = Endpoint::from_user(url).unwrap();
    [
        Box::new(Http::new(HttpConfig::new(endpoint.clone()).tls(tls.clone())).unwrap()),
        Box::new(Grpc::new(GrpcConfig::new(endpoint).tls(tls.clone())).unwrap()),
    ]
}

#[tokio::test]
async fn an_own_authority_is_trusted_and_a_strange_one_is_not() {
    let papers = Papers::new();
    let server = Server::start_with(Some(papers.acceptor(false))).await;
    for transport in transports(&server.url(), &TlsConfig::new().ca(papers.ca.as_str())) {
        transport.send(Payload::traces("spans", 1)).await.unwrap();
    }
    assert_eq!(server.desk.arrived().len(), 2);

    // The system's roots, and an authority that signed nothing here.
    for tls in [TlsConfig::new(), TlsConfig::new().ca(Papers::new().ca)] {
        for transport in transports(&server.url(), &tls) {
            let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
            assert!(!error.is_retryable());
        }
    }
    assert_eq!(server.desk.arrived().len(), 2);
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted() {
    let papers = Papers::new();
    let server = Server::start_with(Some(papers.acceptor(true))).await;
    let without = TlsConfig::new().ca(papers.ca.as_str());
    let (certificate, key) = &papers.client;
    for transport in transports(&server.url(), &without.clone().client(certificate.as_str(), key.as_str())) {
        transport.send(Payload::traces("spans", 1)).await.unwrap();
    }
    for transport in transports(&server.url(), &without) {
        // The receiver's alert may be overtaken by the reset that follows it.
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Dropped), "{error}");
    }
    assert_eq!(server.desk.arrived().len(), 2);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let papers = Papers::new();
    let server = Server::start_with(Some(papers.acceptor(false))).await;
    let url = format!("https://localhost:{}", server.address.port());
    for transport in transports(&url, &TlsConfig::new().ca(papers.ca.as_str())) {
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_named() {
    let papers = Papers::until(2001);
    let server = Server::start_with(Some(papers.acceptor(false))).await;
    for transport in transports(&server.url(), &TlsConfig::new().ca(papers.ca.as_str())) {
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Tls, false), "{error}");
        assert!(error.to_string().contains("expired"), "{error}");
    }
    assert!(server.desk.arrived().is_empty());
}

#[tokio::test]
async fn a_handshake_that_never_ends_ends_with_the_timeout() {
    // Connections are taken by the kernel, and by nobody else.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::from_user(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let (tls, limit) = (TlsConfig::new().ca(Papers::new().ca), std::time::Duration::from_millis(300));
    let transports: [Box<dyn Transport>; 2] = [
        Box::new(Http::new(HttpConfig::new(endpoint.clone()).tls(tls.clone()).timeout(limit)).unwrap()),
        Box::new(Grpc::new(GrpcConfig::new(endpoint).tls(tls).timeout(limit)).unwrap()),
    ];
    for transport in transports {
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true), "{error}");
    }
}

#[tokio::test]
async fn tls_where_there_is_none_and_none_where_there_is_are_named() {
    let papers = Papers::new();
    let plain = Server::start().await;
    for transport in transports(&plain.url().replace("http:", "https:"), &TlsConfig::new().ca(papers.ca.as_str())) {
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Dropped | ErrorKind::Unreachable), "{error}");
    }
    let secure = Server::start_with(Some(papers.acceptor(false))).await;
    let [http, grpc] = transports(&secure.url().replace("https:", "http:"), &TlsConfig::new());
    let error = http.send(Payload::traces("spans", 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResponse, "{error}");
    assert!(error.to_string().ends_with("is this a port of gRPC or TLS?"), "{error}");
    let error = grpc.send(Payload::traces("spans", 1)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BadResponse | ErrorKind::Dropped), "{error}");
}

#[test]
fn a_key_of_another_certificate_is_refused_when_made() {
    let (papers, others) = (Papers::new(), Papers::new());
    let tls = TlsConfig::new().client(papers.client.0, others.client.1);
    let config = HttpConfig::new(Endpoint::base("https://localhost").unwrap()).tls(tls);
    let error = Http::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("do not work together"), "{error}");
}
