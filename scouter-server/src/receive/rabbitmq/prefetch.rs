//! How many messages may be on their way to the server, so that their bytes stay within a budget.
//!
//! RabbitMQ counts messages, not bytes, so the number follows the size that messages turn out to have.

/// So many bytes of a queue may be on their way.
const BUDGET: u64 = 16 * 1024 * 1024;
/// So many bytes are held when messages are suddenly larger than those before.
const ROOM: usize = 8 * BUDGET as usize;
/// The bounds of the number, and where it begins.
const FEWEST: u16 = 2;
const MOST: u16 = 1024;
const FIRST: u16 = 16;
/// Messages that were seen count this much for the size of the next.
const WEIGHT: u64 = 8;

/// Follows the size of messages.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// The usual size of a message, in bytes.
    usual: Option<u64>,
    /// What the broker was told.
    pub(super) count: u16,
}

impl Prefetch {
    pub(super) fn new() -> Self {
        Self { usual: None, count: FIRST }
    }

    /// A message of so many bytes has come.
    pub(super) fn saw(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.usual = Some(match self.usual {
            // Large ones count at once, small ones by and by.
            Some(usual) if bytes < usual => usual - (usual - bytes) / WEIGHT,
            _ => bytes,
        });
    }

    /// Whether the broker is to be told another number: it changes only when it is far off.
    pub(super) fn is_off(&self) -> bool {
        let wanted = self.wanted();
        wanted < self.count / 2 || wanted / 4 >= self.count
    }

    /// Takes the number that fits.
    pub(super) fn renew(&mut self) {
        self.count = self.wanted();
    }

    /// Whether so many messages with so many bytes are more than may be held. The fewest that can be asked for always may.
    pub(super) fn is_too_much(messages: usize, bytes: usize) -> bool {
        bytes > ROOM && messages > usize::from(FEWEST)
    }

    fn wanted(&self) -> u16 {
        let Some(usual) = self.usual else { return self.count };
        u16::try_from(BUDGET / usual.max(1)).unwrap_or(MOST).clamp(FEWEST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_follows_the_size() {
        let mut prefetch = Prefetch::new();
        assert!(!prefetch.is_off());
        prefetch.saw(1024 * 1024);
        assert!(!prefetch.is_off(), "it fits as it is");
        for _ in 0..200 {
            prefetch.saw(1000);
        }
        assert!(prefetch.is_off());
        prefetch.renew();
        assert_eq!(prefetch.count, MOST);
        prefetch.saw(64 * 1024 * 1024);
        assert!(prefetch.is_off());
        prefetch.renew();
        assert_eq!(prefetch.count, FEWEST);
        prefetch.saw(0);
        assert!(prefetch.wanted() >= FEWEST);
    }

    #[test]
    fn what_is_held_is_bounded_though_a_few_may_be_large() {
        assert!(!Prefetch::is_too_much(1024, ROOM) && Prefetch::is_too_much(1024, ROOM + 1));
        assert!(!Prefetch::is_too_much(2, 10 * ROOM) && Prefetch::is_too_much(3, 10 * ROOM));
    }
}
