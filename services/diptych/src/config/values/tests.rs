use std::time::Duration;

use diptych_embedded::Storage;

use super::*;

#[test]
fn sizes_and_durations_have_units() {
    type Bytes = ByteSize<1, { 1 << 40 }>;
    for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("16 MiB", 16 << 20), (" 2GiB ", 2 << 30)] {
        assert_eq!(text.parse::<Bytes>().unwrap().bytes(), bytes, "{text}");
    }
    for bad in ["", "64", "KiB", "64kb", "-1B", "1.5MiB", "0B", "99999999999999999999GiB", "18446744073709551615GiB"] {
        assert!(bad.parse::<Bytes>().is_err(), "{bad}");
    }
    type Timeout = TimeSpan<1, 86_400_000>;
    for (text, millis) in [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)] {
        assert_eq!(text.parse::<Timeout>().unwrap().duration(), Duration::from_millis(millis), "{text}");
    }
    for bad in ["5", "5 minutes", "s", "0s", "2d", "1h30m"] {
        assert!(bad.parse::<Timeout>().is_err(), "{bad}");
    }
}

#[test]
fn a_duration_of_a_flag_is_in_seconds_or_has_a_unit() {
    for (text, millis) in [("60", 60_000), ("3s", 3_000), ("5m", 300_000), ("1d", 86_400_000)] {
        assert_eq!(duration_flag::<1_000>(text).unwrap(), Duration::from_millis(millis), "{text}");
    }
    assert_eq!(duration_flag::<0>("0").unwrap(), Duration::ZERO);
    for bad in ["", "0", "500ms", "2d", "-1", "86401"] {
        let error = duration_flag::<1_000>(bad).unwrap_err();
        assert_eq!(error, "write a duration from 1s to 1d, with a unit (ms, s, m, h, d)", "{bad}");
    }
}

#[test]
fn sizes_and_durations_are_displayed_as_they_are_written() {
    for text in ["1ms", "1500ms", "90s", "36h", "7d"] {
        assert_eq!(text.parse::<TimeSpan<1, { 7 * 86_400_000 }>>().unwrap().to_string(), text);
    }
    for text in ["1B", "1500B", "3KiB", "5GiB"] {
        assert_eq!(text.parse::<ByteSize<1, { 1 << 40 }>>().unwrap().to_string(), text);
    }
    assert_eq!("60s".parse::<TimeSpan<1, 100_000>>().unwrap().to_string(), "1m");
}

#[test]
fn an_error_states_what_is_allowed() {
    let error = "7".parse::<Count<8, 65_536>>().unwrap_err();
    assert_eq!(error, "write a whole number from 8 to 65,536");
    let error = "7".parse::<TimeSpan<10, 60_000>>().unwrap_err();
    assert_eq!(error, "write a duration from 10ms to 1m, with a unit (ms, s, m, h, d)");
    let error = "x".parse::<ByteSize<1_024, { 1 << 20 }>>().unwrap_err();
    assert_eq!(error, "write a size from 1KiB to 1MiB, with a unit (B, KiB, MiB, GiB)");
    assert!("localhost".parse::<ListenAddress>().unwrap_err().contains("127.0.0.1:7400"));
}

#[test]
fn data_is_memory_or_a_folder() {
    assert_eq!("memory".parse(), Ok(DataLocation(Storage::Memory)));
    assert_eq!("./memory".parse(), Ok(DataLocation(Storage::Directory("./memory".into()))));
    assert!("".parse::<DataLocation>().is_err());
}

#[test]
fn lists_ratios_and_names_are_checked() {
    assert_eq!("a:1, b:2".parse::<ServerList>().unwrap().to_vec(), ["a:1", "b:2"]);
    for bad in ["", ",", "a:1,", " "] {
        assert!(bad.parse::<ServerList>().is_err(), "{bad:?}");
    }
    assert_eq!("0.25".parse::<Ratio>().map(Ratio::f64), Ok(0.25));
    for bad in ["-0.1", "1.1", "NaN", "half"] {
        assert!(bad.parse::<Ratio>().is_err(), "{bad:?}");
    }
    assert_eq!("auto".parse(), Ok(InstanceName(None)));
    assert_eq!("pod-7.x".parse(), Ok(InstanceName(Some("pod-7.x".into()))));
    assert!("a b".parse::<InstanceName>().is_err() && "".parse::<InstanceName>().is_err());
}

#[test]
fn every_type_states_what_it_allows() {
    assert_eq!(Count::<8, 65_536>::allowed(), "8 to 65,536");
    assert_eq!(TimeSpan::<10, 60_000>::allowed(), "10ms to 1m");
    assert_eq!(ByteSize::<1_024, { 1 << 20 }>::allowed(), "1KiB to 1MiB");
    assert_eq!(InstanceName::allowed(), "auto, or 1 to 100 of A-Z, a-z, 0-9, '.', '_', '-'");
}
