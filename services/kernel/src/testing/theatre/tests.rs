use super::*;
use crate::testing::fixture;

#[test]
fn a_free_seat_can_be_reserved_once() {
    fixture::<Theatre>([]).when(Command::reserve("A1", "ada")).then([(seat("A1"), Event::reserved("ada"))]);
    fixture::<Theatre>([(seat("A1"), vec![Event::reserved("ada")])])
        .when(Command::reserve("A1", "bob"))
        .then_refused(&Refusal::SeatTaken("ada".into()));
    fixture::<Theatre>([]).when(Command::reserve("A1", "")).then_refused(&Refusal::GuestName);
}

#[test]
fn a_taken_seat_can_be_released() {
    fixture::<Theatre>([(seat("A1"), vec![Event::reserved("ada")])])
        .when(Command::release("A1"))
        .then([(seat("A1"), Event::released("ada"))]);
    fixture::<Theatre>([(seat("A1"), vec![Event::reserved("ada"), Event::released("ada")])])
        .when(Command::release("A1"))
        .then_refused(&Refusal::SeatFree);
}

#[test]
fn two_guests_swap_their_seats() {
    let taken = [(seat("A1"), vec![Event::reserved("ada")]), (seat("B2"), vec![Event::reserved("bob")])];
    fixture::<Theatre>(taken.clone()).when(Command::swap("A1", "B2")).then([
        (seat("A1"), Event::released("ada")),
        (seat("B2"), Event::released("bob")),
        (seat("A1"), Event::swapped("bob")),
        (seat("B2"), Event::swapped("ada")),
    ]);
    fixture::<Theatre>(taken.clone()).when(Command::swap("A1", "C3")).then_refused(&Refusal::SeatFree);
    fixture::<Theatre>(taken).when(Command::swap("A1", "A1")).then_refused(&Refusal::SameSeat);
}

#[test]
#[should_panic(expected = "was refused")]
fn a_failed_expectation_panics() {
    fixture::<Theatre>([]).when(Command::release("A1")).then([]);
}

#[test]
fn events_and_snapshots_round_trip() {
    for event in [Event::reserved("ada"), Event::released("bob"), Event::swapped("eve")] {
        let (event_type, payload) = Theatre::encode_event(&event);
        assert_eq!(Theatre::decode_event(&event_type, &payload), Ok(event));
        assert!(Theatre::decode_event(&event_type, &[]).is_err());
        assert!(Theatre::decode_event(&event_type, &[0xff]).is_err());
    }
    let unknown = unknown_event(seat("A1"), Version::new(1));
    assert!(Theatre::decode_event(&unknown.event_type, &unknown.payload).is_err());
    for state in [Seat::default(), Seat { guest: Some("ada".into()), guests_count: 7 }] {
        assert_eq!(Theatre::decode_snapshot(&Theatre::encode_snapshot(&state)), Ok(state));
    }
    assert!(Theatre::decode_snapshot(b"???").is_err());
}

#[test]
fn commands_round_trip() {
    for command in [Command::reserve("A1", "ada"), Command::release("A1"), Command::swap("A1", "B2")] {
        let (command_type, payload) = command.encode();
        assert_eq!(Theatre::decode_command(command_type, &payload), Ok(command));
        assert!(Theatre::decode_command(command_type, b"no line feed").is_err());
        assert!(Theatre::decode_command("unknown", &payload).is_err());
    }
}

#[test]
fn rows_round_trip() {
    for guest in [None, Some("ada".to_owned())] {
        let row = SeatRow { version: Version::new(3), guest };
        assert_eq!(SeatRow::decode(&row.encode()), Some(row));
    }
    let row = VisitRow { version: Version::new(3), event: Event::swapped("ada") };
    assert_eq!(VisitRow::decode(&row.encode()), Some(row));
    let row = HouseRow { seats_taken: 3, events_count: 9 };
    assert_eq!(HouseRow::decode(&row.encode()), Some(row));
    assert!(VisitRow::sort_key(Version::new(2)) < VisitRow::sort_key(Version::new(1)));
}
