use std::{io::Write, path::PathBuf, time::Duration};

use tempfile::NamedTempFile;

use super::{problem::ConfigProblems, *};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn sources(file: Option<&NamedTempFile>, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Sources {
    Sources {
        file: file.map(|file| file.path().to_owned()),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        flags: flags.iter().map(|(key, value)| Flag { key, name: "--flag", value: (*value).to_owned() }).collect(),
    }
}

fn problems(sources: Sources) -> Vec<[String; 4]> {
    let ConfigProblems(problems) = load(sources).unwrap_err();
    problems.into_iter().map(|problem| [problem.key, problem.value, problem.source, problem.remedy]).collect()
}

#[test]
fn without_sources_every_setting_has_its_default() {
    let loaded = load(sources(None, &[("HOME", "/root"), ("DIPTYCHON", "x")], &[])).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn the_later_source_wins() {
    let file = file("listen = '127.0.0.1:1'\npartitions = 2\nworker_threads = 2\n[grpc]\nconnections_max = 5\n");
    let environment =
        [("DIPTYCH_PARTITIONS", "3"), ("DIPTYCH_WORKER_THREADS", "3"), ("DIPTYCH_COMMAND__COMMIT_TIMEOUT", "3s")];
    let config = load(sources(Some(&file), &environment, &[("worker_threads", "4")])).unwrap().config;
    assert_eq!(config.listen.to_string(), "127.0.0.1:1");
    assert_eq!((config.partitions.u16(), config.worker_threads.usize()), (3, 4));
    assert_eq!(config.grpc.part().connections_max, 5);
    let sequencer = config.command.part();
    assert_eq!(sequencer.commit_timeout, Duration::from_secs(3));
    assert_eq!(sequencer.queue_commands_max, diptych_command::SequencerConfig::default().queue_commands_max);
}

#[test]
fn variables_of_a_stack_and_of_tests_are_ignored() {
    let of_stack = [
        ("DIPTYCH_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:20533"),
        ("DIPTYCH_TEST_KAFKA", "127.0.0.1:20533"),
        ("DIPTYCH_STACK", "second"),
        ("DIPTYCH_STACK_TOOLS", "/tools"),
        ("DIPTYCH_ADDRESS", "127.0.0.1:20600"),
        ("DIPTYCH_TOKEN", "abc"),
        ("DIPTYCH_SEEDS", "7"),
    ];
    let config = load(sources(None, &of_stack, &[])).unwrap().config;
    assert_eq!(config.kafka.bootstrap_servers.to_string(), "127.0.0.1:20533");
    assert_eq!(problems(sources(None, &[("DIPTYCH_TOKENS", "abc")], &[])).len(), 1);
}

#[test]
fn all_problems_are_reported_at_once() {
    let file = file(
        "lisen = 'x'\npartitions = 0\n[grpc]\nconnections_max = 'many'\nkeepalive_interval = 5\n[theatre]\nseats = 7\n",
    );
    let environment =
        [("DIPTYCH_GRPC__CALLS_IN_FLIGHT_MAX", "-1"), ("DIPTYCH_LOG", "debug"), ("DIPTYCH_CONFIG", "not a setting")];
    let path = format!("file {}", file.path().display());
    let found = problems(sources(Some(&file), &environment, &[("metrics_listen", "7401")]));
    let expected = [
        ["lisen", "\"x\"", &path, "unknown setting; did you mean listen?"],
        [
            "log",
            "\"debug\"",
            "environment variable DIPTYCH_LOG",
            "this is a section with the settings DIPTYCH_LOG__FILTER, DIPTYCH_LOG__FORMAT",
        ],
        ["theatre.seats", "7", &path, "unknown section; the sections are cache, command"],
        [
            "grpc.calls_in_flight_max",
            "\"-1\"",
            "environment variable DIPTYCH_GRPC__CALLS_IN_FLIGHT_MAX",
            "write a whole number from 1 to 1,000,000",
        ],
        ["grpc.connections_max", "\"many\"", &path, "write a whole number from 1 to 65,536"],
        ["grpc.keepalive_interval", "5", &path, "write a duration from 1s to 1h, with a unit (ms, s, m, h, d)"],
        [
            "metrics_listen",
            "\"7401\"",
            "flag --flag",
            "write a host and a port, such as 127.0.0.1:7400 or localhost:7400",
        ],
        ["partitions", "0", &path, "write a whole number from 1 to 256"],
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found[..3], expected[..3]);
        assert!(found[3].starts_with(expected[3]), "{found:?}");
    }
}

#[test]
fn a_key_in_the_wrong_section_is_a_problem() {
    let file = file("[grpc]\nlisten = '127.0.0.1:1'\nconections_max = 5\n[cache]\nsize_max = ['1MiB']\n");
    let found = problems(sources(Some(&file), &[("DIPTYCH_LISTEN__PORT", "1")], &[]));
    let keys: Vec<_> = found.iter().map(|problem| problem[0].as_str()).collect();
    assert_eq!(keys, ["grpc.conections_max", "grpc.listen", "listen.port", "cache.size_max"], "{found:#?}");
    assert!(found[1][3].ends_with("did you mean listen?"), "{found:#?}");
    assert!(found[0][3].contains("did you mean grpc.connections_max?"), "{found:#?}");
}

#[test]
fn settings_that_contradict_each_other_are_problems() {
    let same = [("listen", "127.0.0.1:7000"), ("metrics_listen", "127.0.0.1:7000"), ("log.filter", "info,x=loud")];
    let found = problems(sources(None, &[], &same));
    assert_eq!((found[0][0].as_str(), found[1][0].as_str()), ("log.filter", "metrics_listen"), "{found:#?}");
    let any_port = [("listen", "127.0.0.1:0"), ("metrics_listen", "127.0.0.1:0")];
    assert!(load(sources(None, &[], &any_port)).is_ok());
}

#[test]
fn an_unreadable_file_does_not_hide_other_problems() {
    let missing =
        Sources { file: Some(PathBuf::from("/nowhere/x.toml")), ..sources(None, &[], &[("partitions", "x")]) };
    let found = problems(missing);
    assert_eq!(found.len(), 2);
    assert!(found[0][2].contains("/nowhere/x.toml") && found[0][3].contains("--config FILE"), "{found:#?}");
    let broken = file("listen = \n");
    let found = problems(sources(Some(&broken), &[], &[]));
    assert!(found[0][3].starts_with("is not TOML: ") && found[0][3].contains("line 1"), "{found:#?}");
}

#[test]
fn a_problem_is_reported_with_key_value_source_and_remedy() {
    let text = load(sources(None, &[("DIPTYCH_PARTITIONS", "0")], &[])).unwrap_err().to_string();
    let expected = "1 problem in the configuration:\n\n  partitions = \"0\"\n    from environment variable DIPTYCH_PARTITIONS\n    \
                    write a whole number from 1 to 256";
    assert_eq!(text, expected);
}

#[test]
fn a_dump_reads_back_as_the_same_configuration() {
    let flags =
        [("data", "/tmp/x"), ("query.call_timeout_max", "90s"), ("log.format", "json"), ("cache.size_max", "3MiB")];
    let loaded = load(sources(None, &[("DIPTYCH_RELAY__LEASE_DURATION", "20s")], &flags)).unwrap();
    let text = dump(&loaded).unwrap();
    assert!(
        text.contains("lease_duration = \"20s\"  # from environment variable DIPTYCH_RELAY__LEASE_DURATION\n"),
        "{text}"
    );
    assert!(text.contains("data = \"/tmp/x\"  # from flag --flag\n"), "{text}");
    assert!(text.contains("listen = \"127.0.0.1:7400\"\n"), "{text}");
    let section =
        "\n\n# Limits of the gRPC server.\n[grpc]\n# Largest message that a client may send.\nmessage_received_max = ";
    assert!(text.contains(section), "{text}");
    let again = load(sources(Some(&file(&text)), &[], &[])).unwrap();
    assert_eq!(again.config, loaded.config);
}

#[test]
fn every_server_has_a_section() {
    let file = file(
        "[postgres]\nurl = 'postgres://ada:hush@one,two/bank'\nwrite_connections_max = 2\nnotify = false\n\
         [kafka]\nbootstrap_servers = ['one:9092', 'two:9092']\ntopic = 'bank.events'\nreplication_factor = 1\n\
         extra = 'security.protocol=sasl_plaintext'\n\
         [scylla]\ncontact_points = 'one:9042'\nkeyspace = 'bank'\nconsistency = 'QUORUM'\n\
         user = 'ada'\npassword = 'hush'\n\
         [memcached]\nttl = '1h'\n",
    );
    let environment = [
        ("DIPTYCH_SCYLLA__CONTACT_POINTS", "one:9042, two:9042"),
        ("DIPTYCH_COMMAND__REQUEST_ID_RETENTION", "3d"),
        ("DIPTYCH_INSTANCE", "pod-7"),
        ("DIPTYCH_TOKEN", "sent by clients, not a setting"),
    ];
    let config = load(sources(Some(&file), &environment, &[("memcached.servers", "one:1,two:2")])).unwrap().config;
    assert_eq!(config.instance.0.as_deref(), Some("pod-7"));
    let postgres = config.postgres.adapter("diptych test", config.command.request_id_retention.duration());
    assert_eq!(postgres.url, "postgres://ada:hush@one,two/bank");
    assert_eq!((postgres.write_connections_max, postgres.notify), (2, false));
    assert_eq!(
        postgres.request_partition_interval,
        Duration::from_hours(24),
        "a third of the retention of request ids"
    );
    let kafka = config.kafka.adapter();
    assert_eq!((kafka.bootstrap_servers.as_str(), kafka.topic.as_str()), ("one:9092,two:9092", "bank.events"));
    assert_eq!(kafka.extra["security.protocol"], "sasl_plaintext");
    assert_eq!((kafka.replication_factor, kafka.min_insync_replicas), (1, 1), "at most the number of copies");
    let scylla = config.scylla.adapter();
    assert_eq!((scylla.contact_points.len(), scylla.keyspace.as_str()), (2, "bank"));
    assert_eq!((scylla.consistency, scylla.datacenter), (diptych_scylla::Consistency::Quorum, None));
    assert_eq!((scylla.user.as_deref(), scylla.password.as_deref()), (Some("ada"), Some("hush")));
    let memcached = config.memcached.adapter();
    assert_eq!((memcached.servers.len(), memcached.ttl), (2, Duration::from_hours(1)));
}

#[test]
fn the_defaults_of_the_servers_are_those_of_the_adapters() {
    let Config { postgres, kafka, scylla, memcached, command, .. } = Config::default();
    let days_30 = command.request_id_retention.duration();
    let adapter = diptych_postgres::PostgresConfig::new("postgres://postgres@127.0.0.1:5432/diptych");
    assert!(postgres.adapter("diptych", days_30) == adapter);
    let adapter = diptych_kafka::KafkaConfig::new("127.0.0.1:9092", "diptych.events");
    assert_eq!(format!("{:?}", kafka.adapter()), format!("{adapter:?}"));
    let adapter = diptych_scylla::ScyllaConfig::new(vec!["127.0.0.1:9042".into()], "diptych");
    assert!(scylla.adapter() == adapter);
    let adapter = diptych_memcached::MemcachedConfig::new(vec!["127.0.0.1:11211".into()]);
    assert_eq!(memcached.adapter(), adapter);
}

#[test]
fn traces_are_exported_to_the_configured_collector() {
    use diptych_runtime::trace::Systems;

    assert_eq!(Config::default().telemetry.traces("query", Systems::EMBEDDED), None);
    let environment = [
        ("DIPTYCH_TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:4317"),
        ("DIPTYCH_TELEMETRY__SAMPLING_RATIO", "0.25"),
        ("DIPTYCH_TELEMETRY__EXPORT_INTERVAL", "200ms"),
    ];
    let telemetry = load(sources(None, &environment, &[])).unwrap().config.telemetry;
    let traces = telemetry.traces("query", Systems::servers("events")).unwrap();
    assert_eq!((traces.endpoint.as_str(), traces.service_name.as_str()), ("http://127.0.0.1:4317", "diptych-query"));
    assert_eq!((traces.sampling_ratio, traces.export_interval), (0.25, Duration::from_millis(200)));
    assert_eq!(traces.systems, Systems::servers("events"));

    let wrong = [("telemetry.otlp_endpoint", "https://collector:4317"), ("telemetry.sampling_ratio", "25%")];
    let found = problems(sources(None, &[], &wrong));
    assert!(found[0][3].contains("without TLS") && found[1][3].contains("a number from 0 to 1"), "{found:#?}");
}

#[test]
fn values_that_a_server_would_refuse_are_problems() {
    let file = file(
        "[postgres]\nurl = 'host=one password=hush'\nstatement_timeout = '10s'\n[kafka]\ntopic = 'a topic'\nmin_insync_replicas = 0\n\
         revoke_wait_max = '20s'\nbootstrap_servers = ''\nextra = 'hush'\n[scylla]\nkeyspace = 'Bank'\nuser = 'ada'\n\
         consistency = 'ONE'\n[memcached]\nservers = ['a:1', 'a:1']\nkey_prefix = 'a:b'\n",
    );
    let found = problems(sources(Some(&file), &[("DIPTYCH_POSTGRES_URL", "postgres://a:hush@b/c")], &[]));
    let keys: Vec<_> = found.iter().map(|problem| problem[0].as_str()).collect();
    for key in [
        "postgres_url",
        "postgres.url",
        "postgres.statement_timeout",
        "kafka.bootstrap_servers",
        "kafka.extra",
        "kafka.topic",
        "kafka.min_insync_replicas",
        "kafka.revoke_wait_max",
        "scylla.consistency",
        "scylla.keyspace",
        "scylla.user",
        "memcached.servers",
        "memcached.key_prefix",
    ] {
        assert!(keys.contains(&key), "{key} is not among {keys:?}");
    }
    assert_eq!(keys.len(), 13, "{keys:?}");
    assert!(!format!("{found:?}").contains("hush"), "{found:#?}");
}

#[test]
fn a_dump_hides_secrets_and_is_refused_when_it_is_read_back() {
    let secrets = [
        ("postgres.url", "postgres://ada:hush@one/bank"),
        ("scylla.user", "ada"),
        ("scylla.password", "hush"),
        ("kafka.extra", "sasl.password=hush"),
    ];
    let loaded = load(sources(None, &[], &secrets)).unwrap();
    let text = dump(&loaded).unwrap();
    assert!(!text.contains("hush") && !format!("{:?}", loaded.config).contains("hush"), "{text}");
    assert!(text.contains("url = \"postgres://ada:***@one/bank\"  # from flag --flag\n"), "{text}");
    let found = problems(sources(Some(&file(&text)), &[], &[]));
    let keys: Vec<_> = found.iter().map(|problem| problem[0].as_str()).collect();
    assert_eq!(keys, ["kafka.extra", "postgres.url", "scylla.password", "scylla.user"], "{found:#?}");
    assert!(found[0][3].contains("without its secret"), "{found:#?}");
}

#[test]
fn an_unknown_variable_is_answered_with_the_nearest_settings() {
    for (variable, remedy) in [
        ("DIPTYCH_POSTGRES_URL", "unknown setting; did you mean DIPTYCH_POSTGRES__URL?"),
        ("DIPTYCH_GRPC_CONNECTION_MAX", "unknown setting; did you mean DIPTYCH_GRPC__CONNECTIONS_MAX?"),
        ("DIPTYCH_KAFAK__TOPIC", "unknown setting; did you mean DIPTYCH_KAFKA__TOPIC?"),
        ("DIPTYCH_KEYSPACE", "unknown setting; did you mean DIPTYCH_SCYLLA__KEYSPACE?"),
        ("DIPTYCH_TOKENS", "unknown setting; did you mean DIPTYCH_TOKEN?"),
        ("DIPTYCH_LOG_LEVEL", "unknown setting; the section log has DIPTYCH_LOG__FILTER, DIPTYCH_LOG__FORMAT"),
        ("DIPTYCH_METRICS", "unknown setting; did you mean DIPTYCH_METRICS_LISTEN?"),
        ("DIPTYCH_ZZZZZZ", "unknown setting; `diptych settings` lists all settings"),
    ] {
        let found = problems(sources(None, &[(variable, "1")], &[]));
        assert_eq!((found.len(), found[0][3].as_str()), (1, remedy), "{variable}: {found:#?}");
    }
}

#[test]
fn an_unknown_key_or_section_of_a_file_is_answered_with_the_nearest_settings() {
    for (text, remedy) in [
        ("[postgress]\nurl = 'x'\n", "unknown setting; did you mean postgres.url?"),
        ("[postgres]\nulr = 'x'\n", "unknown setting; did you mean postgres.url?"),
        ("[memcache]\nsize = 1\n", "unknown section; did you mean memcached? `diptych settings` lists all settings"),
        ("postgres_url = 'x'\n", "unknown setting; did you mean postgres.url?"),
        ("[query]\ncached_age = '1s'\n", "unknown setting; did you mean query.cached_age_max?"),
        ("[query]\nparttions = 4\n", "unknown setting; did you mean partitions?"),
        ("[log]\nlevel = 'x'\n", "unknown setting; the section log has log.filter, log.format"),
    ] {
        let found = problems(sources(Some(&file(text)), &[], &[]));
        assert_eq!((found.len(), found[0][3].as_str()), (1, remedy), "{text}: {found:#?}");
    }
}

#[test]
fn the_reference_has_every_setting_with_its_meaning() {
    let reference = reference().unwrap();
    let row = "| `log.format` | `DIPTYCH_LOG__FORMAT` | `\"auto\"` | auto, text, json | Form of log lines:";
    assert!(reference.contains(row), "{reference}");
    assert!(reference.contains("\n`[kafka]`: The event log (Kafka).\n"), "{reference}");
    let file = toml::to_string(&Config::default()).unwrap();
    let settings = file.lines().filter(|line| line.contains(" = ")).count();
    let rows = reference.lines().filter(|line| line.starts_with("| `"));
    assert!(rows.clone().all(|row| row.ends_with(". |") && row.split(" | ").count() == 5), "{reference}");
    assert_eq!(rows.count(), settings, "{reference}");
    assert_eq!(table("postgres.url").unwrap().lines().count(), 5);
}

#[test]
fn a_setting_is_found_by_its_variable_and_by_words_of_its_meaning() {
    for text in ["DIPTYCH_QUERY__CACHED_AGE_MAX", "diptych_query__cached_age_max", "query.cached_age_max"] {
        let found = table(text).unwrap();
        assert!(found.starts_with("query.cached_age_max\n") && found.lines().count() == 5, "{text}: {found}");
    }
    let found = table("LOG lines form").unwrap();
    assert!(found.starts_with("log.format\n"), "{found}");
    assert_eq!(table("no setting has this").unwrap(), "");
}
