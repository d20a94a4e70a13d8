//! Inputs that are the same on every run.

use crate::Target;

/// The longest input that is made, about.
const MAX_LENGTH: usize = 12_000;

/// An endless stream of seeds, mutated seeds and noise for one target.
#[derive(Debug)]
pub struct Inputs {
    target: Target,
    state: u64,
    text: Vec<u8>,
}

impl Inputs {
    /// Another number gives other inputs.
    pub fn new(target: Target, number: u64) -> Self {
        Self { target, state: number, text: Vec::new() }
    }

    /// The next input.
    pub fn generate(&mut self) -> &[u8] {
        match self.below(16) {
            0 => self.text = (0..self.below(64)).map(|_| self.random() as u8).collect(),
            // Longer and longer from the last one, to reach the limits.
            1..8 if self.text.len() < MAX_LENGTH => {}
            _ => self.text = self.pick(self.target.seeds).to_vec(),
        }
        for _ in 0..self.below(6) {
            self.mutate();
        }
        &self.text
    }

    fn mutate(&mut self) {
        let at = self.below(self.text.len() + 1);
        let end = (at + self.below(20)).min(self.text.len());
        match self.below(8) {
            0 if at < end => self.text[at] ^= 1 << self.below(8),
            1 if at < end => self.text[at] = self.random() as u8,
            2 => drop(self.text.drain(at..end)),
            3 => self.text.truncate(at),
            4 if self.text.len() < MAX_LENGTH => self.text.extend_from_within(at..),
            5 if at < end => {
                let piece = self.text[at..end].to_vec();
                let place = self.below(self.text.len());
                self.text.splice(place..place, piece);
            }
            6 => {
                let word = self.pick(self.target.words);
                self.text.splice(at..end, word.iter().copied());
            }
            _ => {
                let word = self.pick(self.target.words);
                self.text.splice(at..at, word.iter().copied());
            }
        }
    }

    fn pick(&mut self, from: &[&'static [u8]]) -> &'static [u8] {
        from[self.below(from.len())]
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random() % end.max(1) as u64) as usize
    }

    /// A step of splitmix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
