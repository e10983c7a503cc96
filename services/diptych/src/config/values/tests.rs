use super::*;

#[test]
fn sizes_and_durations_have_units() {
    type Bytes = Size<1, { 1 << 40 }>;
    for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("16 MiB", 16 << 20), (" 2GiB ", 2 << 30)] {
        assert_eq!(text.parse(), Ok(Size::<1, { 1 << 40 }>(bytes)), "{text}");
    }
    for bad in ["", "64", "KiB", "64kb", "-1B", "1.5MiB", "0B", "99999999999999999999GiB", "18446744073709551615GiB"] {
        assert!(bad.parse::<Bytes>().is_err(), "{bad}");
    }
    type Wait = Span<1, 86_400_000>;
    for (text, millis) in [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)] {
        assert_eq!(text.parse::<Wait>().unwrap().duration(), Duration::from_millis(millis), "{text}");
    }
    for bad in ["5", "5 minutes", "s", "0s", "2d", "1h30m"] {
        assert!(bad.parse::<Wait>().is_err(), "{bad}");
    }
}

#[test]
fn a_value_reads_as_it_is_written() {
    for text in ["1ms", "1500ms", "90s", "36h", "7d"] {
        assert_eq!(text.parse::<Span<1, { 7 * 86_400_000 }>>().unwrap().to_string(), text);
    }
    for text in ["1B", "1500B", "3KiB", "5GiB"] {
        assert_eq!(text.parse::<Size<1, { 1 << 40 }>>().unwrap().to_string(), text);
    }
    assert_eq!("60s".parse::<Span<1, 100_000>>().unwrap().to_string(), "1m");
}

#[test]
fn what_is_allowed_is_said() {
    let error = "7".parse::<Count<8, 65_536>>().unwrap_err();
    assert_eq!(error, "write a whole number from 8 to 65,536");
    let error = "7".parse::<Span<10, 60_000>>().unwrap_err();
    assert_eq!(error, "write a duration from 10ms to 1m, with a unit (ms, s, m, h, d)");
    let error = "x".parse::<Size<1_024, { 1 << 20 }>>().unwrap_err();
    assert_eq!(error, "write a size from 1KiB to 1MiB, with a unit (B, KiB, MiB, GiB)");
    assert!("localhost:7400".parse::<Listen>().unwrap_err().contains("127.0.0.1:7400"));
}

#[test]
fn data_is_memory_or_a_folder() {
    assert_eq!("memory".parse(), Ok(Data(Storage::Memory)));
    assert_eq!("./memory".parse(), Ok(Data(Storage::Directory("./memory".into()))));
    assert!("".parse::<Data>().is_err());
}
