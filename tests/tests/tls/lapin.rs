//! lapin, over its own TLS.

use std::fs;
use std::net::SocketAddr;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, Result, runtime};

use super::certificates::{Certificates, PATIENCE};
use super::clients::{CHECKED, amqps, make_user};

/// Comes in as `login` says, and takes back what it publishes.
async fn talk(address: SocketAddr, login: &str, tls: OwnedTLSConfig) -> Result<Vec<u8>> {
    let (login, query) = login.split_once('?').unwrap_or((login, ""));
    let url = format!("amqps://{login}@localhost:{}/%2f?{query}", address.port());
    let properties = ConnectionProperties::default();
    let runtime = runtime::default_runtime()?;
    let connection = Connection::connect_with_config(&url, properties, tls, runtime).await?;
    let channel = connection.create_channel().await?;
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let name = queue.name().clone();
    channel.basic_publish("".into(), name.clone(), options, b"said", properties).await?.await?;
    let got = channel.basic_get(name, BasicGetOptions { no_ack: true }).await?;
    let body = got.expect("it was confirmed").delivery.data;
    connection.close(200, "bye".into()).await?;
    Ok(body)
}

fn said(address: SocketAddr, login: &str, tls: OwnedTLSConfig) -> Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let talk =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, talk(address, login, tls)).await });
    talk.expect("it comes to an end")
}

#[test]
fn lapin_speaks_tls_with_and_without_a_certificate() {
    let certificates = Certificates::new();
    let node = certificates.node(CHECKED);
    make_user(&node, "ann");
    let (authority, (ann, key)) = (certificates.path("ca.pem"), certificates.pair("ann"));
    let cert_chain = Some(fs::read_to_string(authority).unwrap());
    let identity =
        OwnedIdentity::PKCS8 { pem: fs::read(ann).unwrap(), key: fs::read(key).unwrap() };
    let without = OwnedTLSConfig { identity: None, cert_chain: cert_chain.clone() };
    let with = OwnedTLSConfig { identity: Some(identity), cert_chain };
    let stranger = OwnedTLSConfig { identity: None, cert_chain: None };
    let (address, external) = (amqps(&node), "ann:unused?auth_mechanism=external");

    for (login, tls) in
        [("guest:guest", without.clone()), ("guest:guest", with.clone()), (external, with)]
    {
        assert_eq!(said(address, login, tls).unwrap(), b"said", "{login}");
    }
    said(address, external, without).expect_err("nobody says who it is");
    said(address, "guest:guest", stranger).expect_err("it does not know the authority");
}
