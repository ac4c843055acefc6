//! Random bytes of a program: a stream that follows from a seed, the same on every computer.

use sha2::{Digest, Sha256};

const KEY: usize = 32;
const BLOCK: usize = 64;

/// The stream of ChaCha20 (RFC 8439, with a counter of 64 bits and a nonce of zeros), and how far it has been used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    key: [u8; KEY],
    position: u64,
}

impl Random {
    /// The stream of a seed of any size.
    pub fn new(seed: &[u8]) -> Random {
        Random { key: Sha256::digest(seed).into(), position: 0 }
    }

    /// The stream of a key, of which so many bytes have been used.
    pub(crate) fn at(key: [u8; KEY], position: u64) -> Random {
        Random { key, position }
    }

    pub(crate) fn key(&self) -> &[u8; KEY] {
        &self.key
    }

    /// How many bytes have been used.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Uses as many bytes as fit.
    pub(crate) fn fill(&mut self, mut into: &mut [u8]) {
        while !into.is_empty() {
            let block = block(&self.key, self.position / BLOCK as u64);
            let from = block.get((self.position % BLOCK as u64) as usize..).unwrap_or_default();
            let (now, later) = into.split_at_mut(from.len().min(into.len()));
            now.iter_mut().zip(from).for_each(|(byte, random)| *byte = *random);
            self.position = self.position.wrapping_add(now.len() as u64);
            into = later;
        }
    }
}

fn block(key: &[u8; KEY], counter: u64) -> [u8; BLOCK] {
    const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

    let mut input = [0; 16];
    let (words, _) = key.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_le_bytes(*word));
    let counter = [counter as u32, (counter >> 32) as u32];
    let all = CONSTANTS.into_iter().chain(words).chain(counter);
    input.iter_mut().zip(all).for_each(|(place, word)| *place = word);
    let mut state = input;
    for _ in 0..10 {
        for column in 0..4 {
            quarter_round(&mut state, [column, column + 4, column + 8, column + 12]);
        }
        for column in 0..4 {
            let diagonal = |row: usize| 4 * row + (column + row) % 4;
            quarter_round(&mut state, [diagonal(0), diagonal(1), diagonal(2), diagonal(3)]);
        }
    }
    let mut bytes = [0; BLOCK];
    let (places, _) = bytes.as_chunks_mut::<4>();
    for (place, (word, added)) in places.iter_mut().zip(state.into_iter().zip(input)) {
        *place = word.wrapping_add(added).to_le_bytes();
    }
    bytes
}

fn quarter_round(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    let mut mix = |to: usize, from: usize, turned: usize, by: u32| {
        state[to] = state[to].wrapping_add(state[from]);
        state[turned] = (state[turned] ^ state[to]).rotate_left(by);
    };
    mix(a, b, d, 16);
    mix(c, d, b, 12);
    mix(a, b, d, 8);
    mix(c, d, b, 7);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 8439, A.1, vectors 1 and 2.
    #[test]
    fn the_stream_is_chacha20s() {
        let mut bytes = [0; 128];
        Random::at([0; KEY], 0).fill(&mut bytes);
        assert_eq!(
            hex(&bytes),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586\
             9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
        );
    }

    #[test]
    fn the_stream_goes_on_where_it_was_left() {
        let mut whole = [0; 300];
        Random::new(b"seed").fill(&mut whole);
        let mut random = Random::new(b"seed");
        let mut parts = Vec::new();
        for size in [1, 0, 62, 2, 64, 100, 71] {
            let mut part = vec![0; size];
            random.fill(&mut part);
            parts.extend(part);
            random = Random::at(*random.key(), random.position());
        }
        assert_eq!((parts, random.position()), (whole.to_vec(), 300));
        let mut other = [0; 300];
        Random::new(b"other").fill(&mut other);
        assert_ne!(whole, other);
    }
}
