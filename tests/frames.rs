//! Frames from a process that says anything at all: no panic, no endless loop, no memory that was not agreed on.

use flowdistill::foreign::frames::{
    Expected, Greeting, Incoming, Request, HEADER, LONGEST_GREETING, LONGEST_TEXT, PREFIX,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

fn request(sequence: u32, rows: usize, dim: usize, gradients: bool) -> Request {
    Request { sequence, rows, dim, gradients }
}

fn frame(tag: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    [tag.as_slice(), &(payload.len() as u32).to_le_bytes(), payload].concat()
}

/// A right answer to `request`, with `value` everywhere.
fn answer(request: &Request, note: &str, value: f64) -> Vec<u8> {
    let numbers = request.rows * (1 + if request.gradients { request.dim } else { 0 });
    let prefix = [request.sequence, request.rows as u32, u32::from(request.gradients), note.len() as u32];
    let mut payload: Vec<u8> = prefix.iter().flat_map(|number| number.to_le_bytes()).collect();
    payload.extend((0..numbers).flat_map(|i| (value + i as f64).to_le_bytes()));
    payload.extend_from_slice(note.as_bytes());
    frame(b"VALS", &payload)
}

/// Feeds `bytes` in pieces; true once the frame is whole. The most memory it took is kept.
fn feed(
    incoming: &mut Incoming,
    mut bytes: &[u8],
    piece: impl Fn() -> usize,
    most: &mut usize,
) -> Result<bool, String> {
    while !bytes.is_empty() {
        let room = incoming.room();
        assert!(!room.is_empty(), "a frame that is not whole has room");
        *most = (*most).max(room.len());
        let n = room.len().min(bytes.len()).min(piece().max(1));
        room[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
        if incoming.advance(n)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn an_answer_in_any_pieces_is_read_as_it_was_written() {
    for (rows, dim, gradients, note) in [(1, 1, false, ""), (3, 2, true, "because"), (512, 10, true, "")] {
        let request = request(7, rows, dim, gradients);
        let bytes = answer(&request, note, 0.5);
        for piece in [1, 3, 8, 1000, usize::MAX] {
            let mut incoming = Incoming::new(Expected::Greeting);
            incoming.expect(Expected::Answer(request));
            assert_eq!(feed(&mut incoming, &bytes, || piece, &mut 0), Ok(true));
            let answer = request.read(incoming.payload().expect("no failure")).expect("an answer");
            assert!(answer.values().eq((0..rows).map(|i| 0.5 + i as f64)));
            let slopes: Vec<f64> = answer.gradients(dim).flatten().collect();
            assert_eq!(slopes.len(), if gradients { rows * dim } else { 0 });
            assert!(slopes.iter().enumerate().all(|(i, g)| *g == 0.5 + (rows + i) as f64));
            assert_eq!(answer.note().unwrap_or_default(), note);
        }
    }
}

#[test]
fn a_request_is_laid_out_as_documented() {
    let mut bytes = Vec::new();
    request(258, 2, 2, true).write([[1.0, 2.0].as_slice(), &[3.0, -0.5]].into_iter(), &mut bytes);
    let numbers: Vec<u8> = [1.0f64, 2.0, 3.0, -0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let prefix = [2, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(bytes, [b"EVAL".as_slice(), &[48, 0, 0, 0], &prefix, &numbers].concat());
}

#[test]
fn greetings_say_what_is_wrong_with_them() {
    let read = |text: &str| Greeting::read(text.as_bytes());
    let named = r#"{"protocol": "flowdistill-density", "version": 1, "dim": 2, "names": ["a", "é"], "more": [1]}"#;
    assert_eq!(read(named), Ok(Greeting { dim: 2, names: vec!["a".into(), "é".into()] }));
    let plain = read(r#"{"protocol": "flowdistill-density", "version": 1, "dim": 2}"#).expect("a greeting");
    assert_eq!(plain.names, ["x1", "x2"]);
    for (text, words) in [
        ("", "malformed"),
        ("[]", "malformed"),
        (r#"{"protocol": "flowdistill-density", "version": 1}"#, "`dim`"),
        (r#"{"protocol": "flowdistill-density", "version": 1, "dim": -1}"#, "malformed"),
        (r#"{"protocol": "flowdistill-density", "version": 1, "dim": 1.5}"#, "malformed"),
        (r#"{"protocol": "flowdistill-density", "version": 1, "dim": 100001}"#, "1 to 100000"),
        (r#"{"protocol": "flowdistill-density", "version": 1, "dim": 1, "names": [""]}"#, "the name \"\""),
    ] {
        let fault = read(text).expect_err("not a greeting");
        assert!(fault.contains(words), "{text}: {fault}");
    }
    assert!(Greeting::read(&[0xff, 0xfe]).is_err());
    assert!(Greeting::read("[".repeat(100_000).as_bytes()).is_err());
}

/// One change of the kind that broken programs and pipes make.
fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = match rng.gen_range(0..3) {
        // Where lengths and counts are.
        0 => rng.gen_range(0..bytes.len().min(HEADER + PREFIX)),
        _ => rng.gen_range(0..bytes.len()),
    };
    match rng.gen_range(0..6) {
        0 => bytes[at] ^= 1 << rng.gen_range(0..8),
        1 => bytes[at] = rng.gen(),
        2 => bytes.truncate(at),
        3 => {
            let piece = bytes[at..(at + 16).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => {
            bytes.drain(at..(at + rng.gen_range(1..9)).min(bytes.len()));
        }
        _ => {
            let number: u32 = [0, 1, u32::MAX, i32::MAX as u32, 1 << 20, rng.gen()][rng.gen_range(0..6)];
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
        }
    }
}

/// Set FLOWDISTILL_FUZZ_SECONDS to go on for longer, and FLOWDISTILL_FUZZ_SEED for other frames.
#[test]
fn mutated_frames_are_refused_or_read_without_panic_delay_or_much_memory() {
    let seconds = std::env::var("FLOWDISTILL_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let seed = std::env::var("FLOWDISTILL_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let begun = Instant::now();
    let greeting = br#"{"protocol": "flowdistill-density", "version": 1, "dim": 3, "names": ["a", "b", "c"]}"#;
    let (mut whole, mut refused, mut waiting, mut rounds) = (0u64, 0u64, 0u64, 0u64);
    while begun.elapsed() < Duration::from_secs_f64(seconds) || rounds < 10_000 {
        rounds += 1;
        let request = request(rng.gen_range(0..3), rng.gen_range(1..20), rng.gen_range(1..5), rng.gen());
        let (expected, limit) = match rng.gen_range(0..3) {
            0 => (Expected::Greeting, LONGEST_GREETING),
            _ => (Expected::Answer(request), request.longest()),
        };
        let mut bytes = match rng.gen_range(0..8) {
            0 => frame(b"HELO", greeting),
            1 => frame(b"FAIL", b"no"),
            2 => (0..rng.gen_range(0..100)).map(|_| rng.gen()).collect(),
            3 if expected == Expected::Greeting => frame(b"HELO", greeting),
            4 => answer(&request, "a note", 1.0),
            _ => answer(&request, "", 1.0),
        };
        for _ in 0..rng.gen_range(0..4) {
            mutate(&mut bytes, &mut rng);
        }
        let start = Instant::now();
        let mut incoming = Incoming::new(expected);
        let (piece, mut most) = (rng.gen_range(1..200), 0);
        match feed(&mut incoming, &bytes, || piece, &mut most) {
            Ok(true) => {
                let read = incoming.payload().map(<[u8]>::to_vec).and_then(|payload| match expected {
                    Expected::Greeting => {
                        Greeting::read(&payload).map(|greeting| assert_eq!(greeting.names.len(), greeting.dim))
                    }
                    Expected::Answer(request) => request.read(&payload).map(|answer| {
                        assert_eq!(answer.values().count(), request.rows);
                        let slopes = answer.gradients(request.dim).flatten().count();
                        assert_eq!(slopes, if request.gradients { request.rows * request.dim } else { 0 });
                        assert!(answer.note().unwrap_or_default().len() <= 3 * LONGEST_TEXT);
                    }),
                });
                *(if read.is_ok() { &mut whole } else { &mut refused }) += 1;
            }
            Ok(false) => waiting += 1,
            Err(_) => refused += 1,
        }
        assert!(most <= limit.max(LONGEST_TEXT), "{most} bytes for {bytes:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?} for {bytes:?}", start.elapsed());
    }
    assert!(whole > 0 && refused > 0 && waiting > 0, "{whole} whole, {refused} refused, {waiting} not whole");
    println!("{rounds} rounds: {whole} read, {refused} refused, {waiting} not whole");
}
