//! Tests of `service`, against a small one.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers by path, and remembers what it was asked.
struct Small {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Small {
    async fn new(answers: &[(&'static str, &'static str)]) -> Self {
        let answers: BTreeMap<_, _> = answers.iter().copied().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 8192];
                let length = stream.read(&mut bytes).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let (head, body) = request.split_once("\r\n\r\n").unwrap_or((&request, ""));
                let mut words = head.split(' ');
                let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                let path = target.split('?').next().unwrap_or_default();
                let question =
                    if method == "POST" { format!("{path} {body}") } else { target.into() };
                heard.lock().expect("unbroken").push(question);
                let answer = answers.get(path).copied().unwrap_or("404 ");
                // Nothing is sent where nothing is to be heard.
                let Some((status, body)) = answer.split_once(' ') else {
                    std::future::pending::<()>().await;
                    return;
                };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n{body}");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self { port, asked }
    }

    fn settings(&self) -> HttpSettings {
        let path = |name: &str| format!("http://127.0.0.1:{}/{name}", self.port);
        HttpSettings {
            user_path: path("user"),
            vhost_path: path("vhost"),
            resource_path: path("resource"),
            topic_path: path("topic"),
            ..HttpSettings::default()
        }
    }

    fn service(&self) -> Arc<Service> {
        self.service_with(&CacheSettings::default())
    }

    fn service_with(&self, cache: &CacheSettings) -> Arc<Service> {
        Arc::new(Service::new(&self.settings(), cache).expect("the settings are good"))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unbroken").clone()
    }
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn login(service: &Arc<Service>) -> Result<Visitor, ServiceError> {
    service.login("ann b", Some(b"p&ss"), HERE, false).await
}

fn read_queue() -> Question<'static> {
    let what = What::Queue { name: "q/1".into(), permission: "read" };
    Question { vhost: "/".into(), what }
}

#[tokio::test]
async fn every_question_has_the_parameters_that_rabbitmq_sends() {
    let small = Small::new(&[
        ("/user", "200 allow Administrator  monitoring\n"),
        ("/vhost", "200 allow"),
        ("/resource", "201 Allow"),
        ("/topic", "200 allow"),
    ])
    .await;

    let visitor = login(&small.service()).await.expect("let in");
    let exchange = What::Exchange { name: "x".into(), permission: "configure" };
    let topic =
        What::Topic { exchange: "t".into(), routing_key: "a.b".into(), permission: "write" };
    for what in [What::Vhost, read_queue().what, exchange, topic] {
        let question = Question { vhost: "/".into(), what };
        assert!(visitor.ask(&question).await.expect("answered"), "{question:?}");
    }

    assert_eq!(visitor.tags(), ["administrator", "monitoring"]);
    let tags = "tags=administrator+monitoring";
    assert_eq!(
        small.asked(),
        [
            "/user?username=ann+b&password=p%26ss".to_owned(),
            format!("/vhost?username=ann+b&vhost=%2F&ip=127.0.0.1&{tags}"),
            format!(
                "/resource?username=ann+b&vhost=%2F&resource=queue&name=q%2F1&permission=read&{tags}"
            ),
            format!(
                "/resource?username=ann+b&vhost=%2F&resource=exchange&name=x&permission=configure&\
                 {tags}"
            ),
            format!(
                "/topic?username=ann+b&vhost=%2F&resource=topic&name=t&permission=write&{tags}&\
                 routing_key=a.b&variable_map.username=ann+b&variable_map.vhost=%2F"
            ),
        ]
    );
}

#[tokio::test]
async fn parameters_may_go_as_a_form() {
    let small = Small::new(&[("/user", "200 allow")]).await;
    let settings = HttpSettings { method: HttpMethod::Post, ..small.settings() };
    let service = Service::new(&settings, &CacheSettings::default()).expect("good");

    login(&Arc::new(service)).await.expect("let in");

    assert_eq!(small.asked(), ["/user username=ann+b&password=p%26ss"]);
}

#[tokio::test]
async fn whatever_is_no_yes_lets_nobody_in() {
    for answer in [
        "200 deny",
        "200 DENY",
        "200 deny because",
        "200 ",
        "200 allowed",
        "200 <html>allow</html>",
        "500 allow",
        "404 allow",
        "302 allow",
    ] {
        let small = Small::new(&[("/user", answer)]).await;
        assert!(login(&small.service()).await.is_err(), "{answer}");
    }
}

#[tokio::test]
async fn a_service_that_is_dead_or_silent_lets_nobody_in() {
    let small = Small::new(&[("/user", "silence")]).await;
    let short = Duration::from_millis(50);
    let silent = HttpSettings { request_timeout: short, ..small.settings() };
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = nobody.local_addr().expect("an address").port();
    drop(nobody);
    let dead = HttpSettings {
        user_path: format!("http://127.0.0.1:{port}/user"),
        ..HttpSettings::default()
    };

    for settings in [silent, dead] {
        let service = Service::new(&settings, &CacheSettings::default()).expect("good");
        let outcome = login(&Arc::new(service)).await;
        assert!(matches!(outcome, Err(ServiceError::NoAnswer(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_was_allowed_is_not_asked_again_and_what_was_denied_is() {
    let small = Small::new(&[("/user", "200 allow"), ("/resource", "200 allow")]).await;
    let visitor = login(&small.service()).await.expect("let in");
    let other = Question { vhost: "/".into(), what: What::Vhost };

    let before = visitor.is_permitted(&read_queue());
    visitor.ask(&read_queue()).await.expect("answered");
    let after = visitor.is_permitted(&read_queue());
    let denied = visitor.ask(&other).await;

    assert!(!before && after);
    assert!(denied.is_err() && !visitor.is_permitted(&other));
}

#[tokio::test(start_paused = true)]
async fn what_was_allowed_is_forgotten_after_a_while() {
    let small = Small::new(&[("/user", "200 allow"), ("/resource", "200 allow")]).await;
    let visitor = login(&small.service()).await.expect("let in");
    visitor.ask(&read_queue()).await.expect("answered");

    let at_once = visitor.renew();
    tokio::time::advance(PERMITS_FRESH).await;
    let later = visitor.renew();

    assert!(!at_once && later && !visitor.is_permitted(&read_queue()));
    assert!(!visitor.renew(), "there is nothing left to forget");
}

#[tokio::test]
async fn answers_are_remembered_through_the_cache_and_refusals_only_where_that_is_set() {
    for (answer, cache_refusals, expected) in
        [("200 allow", false, 1), ("200 deny", false, 3), ("200 deny", true, 1)]
    {
        let small = Small::new(&[("/user", answer)]).await;
        let service =
            small.service_with(&CacheSettings { cache_refusals, ..CacheSettings::default() });

        for _ in 0..3 {
            let _in_or_not = service.login("ann", Some(b"p"), HERE, true).await;
        }
        let other = service.login("ann", Some(b"q"), HERE, true).await;

        assert_eq!(small.asked().len(), expected + 1, "{answer}, {cache_refusals}");
        assert_eq!(other.is_ok(), answer == "200 allow");
    }
}
