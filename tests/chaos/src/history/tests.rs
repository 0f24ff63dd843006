use super::*;

#[test]
fn what_was_told_can_be_read_in_its_order_and_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(&dir.path().join("history")).unwrap();
    let death = Death { queue: "q".into(), reason: "expired".into(), count: 1 };
    let told = [
        Event::Phase { phase: "calm".into() },
        Event::Queue { queue: "q".into(), rules: Rules { ttl_ms: Some(5), ..Rules::default() } },
        Event::Deliver {
            consumer: 1,
            tag: 2,
            message: None,
            size: 3,
            sum: 4,
            redelivered: true,
            acquired: 5,
            count: 6,
            death: Some(death),
        },
        Event::Operate {
            operation: 7,
            object: "queue a".into(),
            action: Action::Declare(1),
            node: "n".into(),
        },
        Event::Answer { operation: 7, outcome: Outcome::Different },
    ];

    told.iter().for_each(|event| recorder.tell(event.clone()));

    let (mut read, mut times) = (Vec::new(), Vec::new());
    let see = |number: u64, line: &Line| {
        assert_eq!(number, read.len() as u64 + 1);
        read.push(line.event.clone());
        times.push(line.at);
    };
    recorder.finish().unwrap().walk(see).unwrap();
    assert_eq!(read, told);
    assert!(times.is_sorted());
}

#[test]
fn a_damaged_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    std::fs::write(&path, "{\"at\":1,\"event\":{\"phase\":{\"phase\":\"calm\"}}}\n{\"at\":2\n")
        .unwrap();

    let error = History::read(&path).unwrap().walk(|_, _| {}).unwrap_err();

    assert!(error.to_string().ends_with("history:2"), "{error}");
}
