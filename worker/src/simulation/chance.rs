//! Chance that is the same again for the same seed, and a network that does with messages what it likes.

/// SplitMix64.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from `least` to `most`.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// Tells whether something of this likelihood, in thousandths, happens.
    pub(super) fn happens(&mut self, thousandths: u64) -> bool {
        self.next() % 1000 < thousandths
    }
}

/// Messages on their way to one side, each with the moment of its arrival.
pub(super) struct Way<M> {
    under_way: Vec<(u64, M)>,
}

/// How bad the network is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    /// Nothing arrives.
    pub(super) cut: bool,
    pub(super) drop: u64,
    pub(super) double: u64,
    pub(super) longest: u64,
}

impl<M: Clone> Way<M> {
    pub(super) fn new() -> Self {
        Self { under_way: Vec::new() }
    }

    pub(super) fn send(&mut self, now: u64, message: M, weather: Weather, chance: &mut Chance) {
        let copies = if chance.happens(weather.double) { 2 } else { 1 };
        for _ in 0..copies {
            // Drawn in any weather, so that a change of the weather changes nothing else.
            let (lost, slow) = (chance.happens(weather.drop), chance.happens(100));
            let delay = chance.between(1, if slow { weather.longest.max(20) } else { 20 });
            if !weather.cut && !lost {
                self.under_way.push((now + delay, message.clone()));
            }
        }
    }

    pub(super) fn arrived(&mut self, now: u64) -> Vec<M> {
        let mut arrived = Vec::new();
        let mut later = Vec::new();
        for (at, message) in self.under_way.drain(..) {
            if at <= now { arrived.push((at, message)) } else { later.push((at, message)) }
        }
        self.under_way = later;
        arrived.sort_by_key(|(at, _)| *at);
        arrived.into_iter().map(|(_, message)| message).collect()
    }

    pub(super) fn forget(&mut self) {
        self.under_way.clear();
    }
}
