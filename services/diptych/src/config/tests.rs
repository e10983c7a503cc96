use std::{io::Write, path::PathBuf, time::Duration};

use tempfile::NamedTempFile;

use super::{mistake::Mistakes, *};

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

fn mistakes(sources: Sources) -> Vec<[String; 4]> {
    let Mistakes(mistakes) = load(sources).unwrap_err();
    mistakes.into_iter().map(|mistake| [mistake.key, mistake.value, mistake.source, mistake.allowed]).collect()
}

#[test]
fn without_sources_all_is_default() {
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
    assert_eq!(diptych_runtime::grpc::Limits::from(&config.grpc).connections_max, 5);
    let sequencer = diptych_command::SequencerConfig::from(&config.command);
    assert_eq!(sequencer.commit_timeout, Duration::from_secs(3));
    assert_eq!(sequencer.queue_commands_max, diptych_command::SequencerConfig::default().queue_commands_max);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let file = file(
        "lisen = 'x'\npartitions = 0\n[grpc]\nconnections_max = 'many'\nkeepalive_interval = 5\n[theatre]\nseats = 7\n",
    );
    let environment =
        [("DIPTYCH_GRPC__CALLS_IN_FLIGHT_MAX", "-1"), ("DIPTYCH_LOG", "debug"), ("DIPTYCH_CONFIG", "not a setting")];
    let path = format!("file {}", file.path().display());
    let found = mistakes(sources(Some(&file), &environment, &[("metrics_listen", "7401")]));
    let expected = [
        ["lisen", "\"x\"", &path, "there is no such setting; did you mean listen?"],
        ["log", "\"debug\"", "environment variable DIPTYCH_LOG", "this is a group of settings: log.filter, log.format"],
        ["theatre.seats", "7", &path, "there is no such setting; here are cache, command"],
        [
            "grpc.calls_in_flight_max",
            "\"-1\"",
            "environment variable DIPTYCH_GRPC__CALLS_IN_FLIGHT_MAX",
            "write a whole number from 1 to 1,000,000",
        ],
        ["grpc.connections_max", "\"many\"", &path, "write a whole number from 1 to 65,536"],
        ["grpc.keepalive_interval", "5", &path, "write a duration from 1s to 1h, with a unit (ms, s, m, h, d)"],
        ["metrics_listen", "\"7401\"", "flag --flag", "write an IP address and a port, such as 127.0.0.1:7400"],
        ["partitions", "0", &path, "write a whole number from 1 to 256"],
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found[..3], expected[..3]);
        assert!(found[3].starts_with(expected[3]), "{found:?}");
    }
}

#[test]
fn a_key_of_another_group_is_not_taken() {
    let file = file("[grpc]\nlisten = '127.0.0.1:1'\nconections_max = 5\n[cache]\nsize_max = ['1MiB']\n");
    let found = mistakes(sources(Some(&file), &[("DIPTYCH_LISTEN__PORT", "1")], &[]));
    let keys: Vec<_> = found.iter().map(|mistake| mistake[0].as_str()).collect();
    assert_eq!(keys, ["grpc.conections_max", "grpc.listen", "listen.port", "cache.size_max"], "{found:#?}");
    assert!(found[0][3].contains("did you mean grpc.connections_max?"), "{found:#?}");
}

#[test]
fn settings_that_do_not_go_together_are_mistakes() {
    let same = [("listen", "127.0.0.1:7000"), ("metrics_listen", "127.0.0.1:7000"), ("log.filter", "info,x=loud")];
    let found = mistakes(sources(None, &[], &same));
    assert_eq!((found[0][0].as_str(), found[1][0].as_str()), ("metrics_listen", "log.filter"), "{found:#?}");
    let any_port = [("listen", "127.0.0.1:0"), ("metrics_listen", "127.0.0.1:0")];
    assert!(load(sources(None, &[], &any_port)).is_ok());
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_other_mistakes() {
    let missing =
        Sources { file: Some(PathBuf::from("/nowhere/x.toml")), ..sources(None, &[], &[("partitions", "x")]) };
    let found = mistakes(missing);
    assert_eq!(found.len(), 2);
    assert!(found[0][2].contains("/nowhere/x.toml") && found[0][3].contains("--config FILE"), "{found:#?}");
    let broken = file("listen = \n");
    let found = mistakes(sources(Some(&broken), &[], &[]));
    assert!(found[0][3].starts_with("is not TOML: ") && found[0][3].contains("line 1"), "{found:#?}");
}

#[test]
fn mistakes_are_told_with_key_value_source_and_what_is_allowed() {
    let text = load(sources(None, &[("DIPTYCH_PARTITIONS", "0")], &[])).unwrap_err().to_string();
    let expected = "1 mistake in the configuration:\n\n  partitions = \"0\"\n    from environment variable DIPTYCH_PARTITIONS\n    \
                    write a whole number from 1 to 256";
    assert_eq!(text, expected);
}

#[test]
fn a_dump_reads_back_as_the_same_configuration() {
    let flags = [("data", "/tmp/x"), ("query.wait_max", "90s"), ("log.format", "json"), ("cache.size_max", "3MiB")];
    let loaded = load(sources(None, &[("DIPTYCH_RELAY__LEASE", "20s")], &flags)).unwrap();
    let text = dump(&loaded).unwrap();
    assert!(text.contains("lease = \"20s\"  # from environment variable DIPTYCH_RELAY__LEASE\n"), "{text}");
    assert!(text.contains("data = \"/tmp/x\"  # from flag --flag\n"), "{text}");
    assert!(text.contains("listen = \"127.0.0.1:7400\"\n"), "{text}");
    let again = load(sources(Some(&file(&text)), &[], &[])).unwrap();
    assert_eq!(again.config, loaded.config);
}
