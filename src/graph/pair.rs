//! A list whose first two entries are inline: most operators have one or two operands. Leans on std.

#[derive(Clone)]
pub struct Pair<T> {
    first: Option<T>,
    second: Option<T>,
    rest: Vec<T>,
}

impl<T> Default for Pair<T> {
    fn default() -> Self {
        Pair::new()
    }
}

impl<T> Pair<T> {
    #[inline]
    pub const fn new() -> Pair<T> {
        Pair { first: None, second: None, rest: Vec::new() }
    }
    /// Up to two entries.
    #[inline(always)]
    pub const fn of(first: Option<T>, second: Option<T>) -> Pair<T> {
        Pair { first, second, rest: Vec::new() }
    }
    #[inline]
    pub fn push(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else if self.second.is_none() {
            self.second = Some(value);
        } else {
            self.rest.push(value);
        }
    }
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + usize::from(self.second.is_some()) + self.rest.len()
    }
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
    #[inline]
    pub fn get(&self, i: usize) -> Option<&T> {
        match i {
            0 => self.first.as_ref(),
            1 => self.second.as_ref(),
            _ => self.rest.get(i - 2),
        }
    }
    #[inline]
    pub fn get_mut(&mut self, i: usize) -> Option<&mut T> {
        match i {
            0 => self.first.as_mut(),
            1 => self.second.as_mut(),
            _ => self.rest.get_mut(i - 2),
        }
    }
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.second.iter()).chain(self.rest.iter())
    }
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(self.second.iter_mut()).chain(self.rest.iter_mut())
    }
}

impl<T> IntoIterator for Pair<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::iter::Chain<std::option::IntoIter<T>, std::option::IntoIter<T>>, std::vec::IntoIter<T>>;
    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.second).chain(self.rest)
    }
}

impl<T> FromIterator<T> for Pair<T> {
    #[inline]
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Pair<T> {
        let mut pair = Pair::new();
        for item in items {
            pair.push(item);
        }
        pair
    }
}

impl<T> std::ops::Index<usize> for Pair<T> {
    type Output = T;
    #[inline]
    fn index(&self, i: usize) -> &T {
        self.get(i).expect("an index below the list's length")
    }
}
