//! Windows on an image as shifts of one stretch: a padded copy of some rows, parted by stride, on which the element that a
//! window's tap meets lies at a fixed distance from the window's own place. Leans on lanes.

use super::lanes::Float;

/// Which elements of an image (d, h, w) windows meet: window q's tap t meets `q step + shift[t]` on each axis.
pub struct View {
    pub size: [usize; 3],
    pub count: [usize; 3],
    pub step: [usize; 3],
    pub shifts: [Vec<isize>; 3],
    /// Elements from one channel, and from one step of the first axis, to the next.
    pub pitch: (usize, usize),
    low: [isize; 3],
    /// The remainders of shifts that occur, and for each tap which one and how many steps.
    phases: [Vec<usize>; 3],
    taps: [Vec<(usize, usize)>; 3],
    /// The axis that is cut into bands.
    pub axis: usize,
}

/// Some of a view's windows, and how their copy lies.
#[derive(Clone, Copy)]
pub struct Band {
    pub from: usize,
    /// Windows along each axis.
    pub count: [usize; 3],
    /// Elements of each phase along each axis, of all a channel's phases, and from the first window to the end of the last.
    pub len: [usize; 3],
    pub plane: usize,
    pub flat: usize,
}

impl View {
    /// None where there is nothing to meet.
    pub fn new(size: [usize; 3], count: [usize; 3], step: [usize; 3], shifts: [Vec<isize>; 3]) -> Option<View> {
        let mut low = [0; 3];
        let (mut phases, mut taps) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
        for i in 0..3 {
            low[i] = *shifts[i].iter().min()?;
            for &shift in &shifts[i] {
                let far = (shift - low[i]) as usize;
                let phase = far % step[i];
                let which = phases[i].iter().position(|&p| p == phase).unwrap_or_else(|| {
                    phases[i].push(phase);
                    phases[i].len() - 1
                });
                taps[i].push((which, far / step[i]));
            }
        }
        let axis = (0..3).find(|&i| count[i] > 1).unwrap_or(2);
        let pitch = (size.iter().product(), size[1] * size[2]);
        (!count.contains(&0)).then_some(View { pitch, size, count, step, shifts, low, phases, taps, axis })
    }

    /// Whether the first axis is none: one place, met by one tap.
    pub fn is_flat(&self) -> bool {
        self.size[0] == 1 && self.count[0] == 1 && self.step[0] == 1 && self.shifts[0] == [0]
    }

    /// Puts images that lie at a distance one behind the other along the first axis, which has one place.
    pub fn stack(&mut self, images: usize, leap: usize) {
        (self.size[0], self.count[0], self.pitch.1, self.axis) = (images, images, leap, 0);
    }

    pub fn taps(&self) -> usize {
        self.taps.iter().map(Vec::len).product()
    }

    pub fn band(&self, from: usize, to: usize) -> Band {
        let mut count = self.count;
        count[self.axis] = to - from;
        let mut len = [0; 3];
        for i in 0..3 {
            len[i] = count[i] + self.taps[i].iter().map(|t| t.1).max().unwrap_or(0);
        }
        let each: usize = len.iter().product();
        let plane = each * self.phases.iter().map(Vec::len).product::<usize>();
        let flat = ((count[0] - 1) * len[1] + count[1] - 1) * len[2] + count[2];
        Band { from, count, len, plane, flat }
    }

    /// Windows along the cut axis whose copy takes about so many elements of `channels`, evenly.
    pub fn cut(&self, channels: usize, most: usize) -> usize {
        let all = self.count[self.axis];
        let whole = self.band(0, all);
        let row = (whole.plane * channels / whole.len[self.axis].max(1)).max(1);
        let extra = whole.len[self.axis] - all;
        let fit = (most / row).saturating_sub(extra).max(2 * extra).max(1);
        all.div_ceil(all.div_ceil(fit))
    }

    /// For each tap of a channel how far its elements lie from the windows' places.
    pub fn offsets(&self, band: &Band) -> Vec<usize> {
        let mut list = Vec::with_capacity(self.taps());
        let each: usize = band.len.iter().product();
        for &(pd, od) in &self.taps[0] {
            for &(ph, oh) in &self.taps[1] {
                for &(pw, ow) in &self.taps[2] {
                    let phase = (pd * self.phases[1].len() + ph) * self.phases[2].len() + pw;
                    list.push(phase * each + (od * band.len[1] + oh) * band.len[2] + ow);
                }
            }
        }
        list
    }

    /// Whether a band is the image as it lies.
    pub fn is_plain(&self) -> bool {
        self.size[0] == 1 && self.taps() == 1 && self.count == self.size && self.step == [1; 3] && self.low == [0; 3]
    }

    /// Whether windows that follow one another are neighbours in the copy as well.
    pub fn is_dense(&self, band: &Band) -> bool {
        let (c, l) = (band.count, band.len);
        (c[2] == l[2] || c[1] == 1 && c[0] == 1) && (c[1] == l[1] || c[0] == 1)
    }

    /// Copies what a band's windows meet of `channels` planes.
    ///
    /// # Safety
    /// `image` must hold the planes, `to` `channels` times the band's plane.
    #[inline(always)]
    pub unsafe fn copy<E: Float>(&self, band: &Band, image: *const E, channels: usize, to: *mut E) {
        let (w, n) = (self.size[2], band.len[2]);
        let each: usize = band.len.iter().product();
        let mut begin = self.low;
        begin[self.axis] += (band.from * self.step[self.axis]) as isize;
        let at = |i: usize, phase: usize, k: usize| {
            let x = begin[i] + (phase + k * self.step[i]) as isize;
            (x >= 0 && x < self.size[i] as isize).then_some(x as usize)
        };
        let columns = &self.phases[2];
        for c in 0..channels {
            for (i, &pd) in self.phases[0].iter().enumerate() {
                for (j, &ph) in self.phases[1].iter().enumerate() {
                    let first = (i * self.phases[1].len() + j) * columns.len() * each;
                    for (d, y) in (0..band.len[0]).flat_map(|d| (0..band.len[1]).map(move |y| (d, y))) {
                        // SAFETY: only elements inside the image are read, and each row is written whole.
                        unsafe {
                            let to = to.add(c * band.plane + first + (d * band.len[1] + y) * n);
                            let (Some(d), Some(y)) = (at(0, pd, d), at(1, ph, y)) else {
                                (0..columns.len()).for_each(|k| to.add(k * each).write_bytes(0, n));
                                continue;
                            };
                            let row = image.add(c * self.pitch.0 + d * self.pitch.1 + y * w);
                            match columns[..] {
                                [0, 1] if self.step[2] == 2 => part(row, w, begin[2], to, to.add(each), n),
                                _ => {
                                    for (k, &pw) in columns.iter().enumerate() {
                                        line(row, w, begin[2] + pw as isize, self.step[2], to.add(k * each), n);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `even[k] = row[start + 2 k]` and `odd[k]` the element behind it, 0 outside of the row.
#[inline(always)]
unsafe fn part<E: Float>(row: *const E, size: usize, start: isize, even: *mut E, odd: *mut E, n: usize) {
    let size = size as isize;
    let one = |x: isize| {
        // SAFETY: the caller promises a row of the size.
        if x >= 0 && x < size { unsafe { *row.offset(x) } } else { E::default() }
    };
    let low = if start < 0 { ((1 - start) / 2) as usize } else { 0 }.min(n);
    let high = if size > start { ((size - start) / 2) as usize } else { 0 }.clamp(low, n);
    // SAFETY: the caller's promise; between the bounds both elements lie inside of the row.
    unsafe {
        for k in (0..low).chain(high..n) {
            (*even.add(k), *odd.add(k)) = (one(start + 2 * k as isize), one(start + 2 * k as isize + 1));
        }
        let from = row.wrapping_offset(start);
        for k in low..high {
            (*even.add(k), *odd.add(k)) = (*from.wrapping_add(2 * k), *from.wrapping_add(2 * k + 1));
        }
    }
}

/// `to[k] = row[start + k step]`, 0 outside of the row.
#[inline(always)]
unsafe fn line<E: Float>(row: *const E, size: usize, start: isize, step: usize, to: *mut E, n: usize) {
    let before = if start < 0 { (start.unsigned_abs().div_ceil(step)).min(n) } else { 0 };
    let last = size as isize - start;
    let end = if last <= 0 { 0 } else { (last as usize).div_ceil(step).min(n) }.max(before);
    // SAFETY: the caller's promise; `before..end` are the places inside of the row.
    unsafe {
        to.write_bytes(0, before);
        to.add(end).write_bytes(0, n - end);
        let from = row.wrapping_offset(start);
        if step == 1 {
            to.add(before).copy_from_nonoverlapping(from.wrapping_add(before), end - before);
        } else {
            for k in before..end {
                *to.add(k) = *from.wrapping_add(k * step);
            }
        }
    }
}
