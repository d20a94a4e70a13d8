//! `exporter`: where spans go.

use std::time::Duration;

use scouter_transport::{Compression, ContentType, Endpoint};

use super::section::{Complaints, Place, Section};
use crate::connection::{Connection, Protocol, default_endpoint, with_scheme};
use crate::environment::{pairs, timeout};
use crate::error::Error;

/// The exporter that stands here and what its destination is called; nothing, with a complaint, for what is none.
///
/// # Errors
/// Its address is none.
pub(super) fn read(
    place: &Place<'_>,
    complaints: &mut Complaints<'_>,
) -> Result<Option<(&'static str, Connection)>, Error> {
    let Some((kind, inner)) = place.section(complaints).choice(place, complaints) else { return Ok(None) };
    let mut section = inner.section(complaints);
    let found = match kind {
        "otlp_http" => Some(("otel", http(&mut section, complaints)?)),
        "otlp_grpc" => Some(("otel", grpc(&mut section, complaints)?)),
        "console" => Some(("console", Connection::new(Protocol::Console, default_endpoint(false)?))),
        _ => {
            let known =
                "is not an exporter that is known here, as are otlp_http, otlp_grpc and console; it was ignored";
            complaints.add(&inner, known);
            return Ok(None);
        }
    };
    section.close(complaints);
    Ok(found)
}

fn http(section: &mut Section<'_>, complaints: &mut Complaints<'_>) -> Result<Connection, Error> {
    let mut connection = Connection::new(Protocol::Http, default_endpoint(false)?);
    if let Some(place) = section.get("endpoint")
        && let Some(uri) = place.text(complaints)
    {
        // With the signal's path: it is used as it is.
        connection.endpoint = Endpoint::exact(&uri).map_err(|source| wrong(&place, source, complaints))?;
    }
    if let Some(place) = section.get("encoding")
        && let Some(encoding) = place.text(complaints)
    {
        match encoding.as_str() {
            "protobuf" => {}
            "json" => connection.content = ContentType::Json,
            _ => complaints.add(&place, &format!("is protobuf or json, not {encoding:?}; protobuf was taken")),
        }
    }
    common(&mut connection, section, complaints);
    if let Some(place) = section.get("tls") {
        let mut section = place.section(complaints);
        files(&mut connection, &mut section, complaints);
        section.close(complaints);
    }
    Ok(connection)
}

fn grpc(section: &mut Section<'_>, complaints: &mut Complaints<'_>) -> Result<Connection, Error> {
    let mut connection = Connection::new(Protocol::Grpc, default_endpoint(true)?);
    let mut insecure = false;
    if let Some(place) = section.get("tls") {
        let mut section = place.section(complaints);
        files(&mut connection, &mut section, complaints);
        insecure = section.get("insecure").and_then(|place| place.boolean(complaints)).unwrap_or(false);
        section.close(complaints);
    }
    if let Some(place) = section.get("endpoint")
        && let Some(uri) = place.text(complaints)
    {
        let uri = with_scheme(uri, insecure);
        connection.endpoint = Endpoint::exact(&uri).map_err(|source| wrong(&place, source, complaints))?;
    }
    common(&mut connection, section, complaints);
    Ok(connection)
}

fn wrong(place: &Place<'_>, source: scouter_transport::Error, complaints: &Complaints<'_>) -> Error {
    Error::Transport { setting: format!("OTEL_CONFIG_FILE: {}: {}", complaints.file, place.path()), source }
}

/// What both protocols have.
fn common(connection: &mut Connection, section: &mut Section<'_>, complaints: &mut Complaints<'_>) {
    let mut headers: Vec<(String, String)> = Vec::new();
    if let Some(list) = section.get("headers") {
        for item in list.list(complaints) {
            let mut entry = item.section(complaints);
            let name = entry.get("name").and_then(|place| place.text(complaints));
            let value = entry.get("value").and_then(|place| place.text(complaints));
            entry.close(complaints);
            match (name, value) {
                (Some(name), Some(value)) => headers.push((name, value)),
                (Some(_), None) => {}
                (None, _) => complaints.add(&item, "has a name and a value; it was ignored"),
            }
        }
    }
    if let Some(place) = section.get("headers_list")
        && let Some(text) = place.text(complaints)
    {
        let name = format!("{}: {}", complaints.file, place.path());
        for (name, value) in pairs(&name, &text, complaints.list) {
            // The entries of the other list stand above.
            if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                headers.push((name, value));
            }
        }
    }
    connection.headers = headers;
    if let Some(place) = section.get("compression")
        && let Some(name) = place.text(complaints)
    {
        match name.as_str() {
            "none" => {}
            "gzip" => connection.compression = Compression::Gzip,
            _ => complaints.add(&place, &format!("is gzip or none, not {name:?}; it was ignored")),
        }
    }
    if let Some(limit) = section.get("timeout").and_then(|place| place.integer(0, complaints)) {
        connection.timeout = Some(timeout(Duration::from_millis(limit)));
    }
}

fn files(connection: &mut Connection, section: &mut Section<'_>, complaints: &mut Complaints<'_>) {
    let mut file = |key| section.get(key).and_then(|place| place.text(complaints)).map(Into::into);
    connection.files.ca = file("ca_file");
    connection.files.key = file("key_file");
    connection.files.certificate = file("cert_file");
}
