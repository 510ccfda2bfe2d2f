//! Windows on an image as shifts of one stretch: a padded copy of some rows, parted by stride, on which the element that a
//! window's tap meets lies at a fixed distance from the window's own place. Leans on lanes.

use crate::backend::cpu::lanes::{Lanes, fetch};

/// Bytes of a line of the caches.
const LINE: usize = 64;

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

    /// Whether every window is one element, and there is one for each.
    pub fn is_whole(&self) -> bool {
        self.taps() == 1 && self.count == self.size && self.step == [1; 3] && self.low == [0; 3]
    }
    /// Whether a band is the image as it lies.
    pub fn is_plain(&self) -> bool {
        self.size[0] == 1 && self.is_whole()
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
    pub unsafe fn copy<L: Lanes>(&self, band: &Band, image: *const L::E, channels: usize, to: *mut L::E) {
        let n = band.len[2];
        let each: usize = band.len.iter().product();
        let mut begin = self.low;
        begin[self.axis] += (band.from * self.step[self.axis]) as isize;
        let (down, columns) = (&self.phases[1], &self.phases[2]);
        let halves = columns[..] == [0, 1] && self.step[2] == 2;
        // Rows in the order in which they lie in memory: where each begins, how long it is, and where it goes.
        let mut rows = Vec::with_capacity(self.phases[0].len() * down.len() * band.len[0] * band.len[1]);
        for (i, &pd) in self.phases[0].iter().enumerate() {
            for d in 0..band.len[0] {
                let z = begin[0] + (pd + d * self.step[0]) as isize;
                for (y, j) in (0..band.len[1]).flat_map(|y| (0..down.len()).map(move |j| (y, j))) {
                    let x = begin[1] + (down[j] + y * self.step[1]) as isize;
                    let inside = z >= 0 && z < self.size[0] as isize && x >= 0 && x < self.size[1] as isize;
                    let first = (i * down.len() + j) * columns.len() * each + (d * band.len[1] + y) * n;
                    // A row that is not there has no elements.
                    let size = if inside { self.size[2] } else { 0 };
                    rows.push((z * self.pitch.1 as isize + x * self.size[2] as isize, size, first));
                }
            }
        }
        for c in 0..channels {
            let (image, to) = (image.wrapping_add(c * self.pitch.0), to.wrapping_add(c * band.plane));
            for &(start, size, first) in &rows {
                let (row, to) = (image.wrapping_offset(start), to.wrapping_add(first));
                // The next channel's row: no hardware foresees the leap from plane to plane.
                for k in (0..size).step_by(LINE / size_of::<L::E>()) {
                    fetch(row.wrapping_add(self.pitch.0 + k));
                }
                // SAFETY: only elements inside the image are read, and each row is written whole.
                unsafe {
                    if halves {
                        part::<L>(row, size, begin[2], to, to.add(each), n);
                        continue;
                    }
                    for (k, &pw) in columns.iter().enumerate() {
                        line::<L>(row, size, begin[2] + pw as isize, self.step[2], to.add(k * each), n);
                    }
                }
            }
        }
    }
}

/// `even[k] = row[start + 2 k]` and `odd[k]` the element behind it, 0 outside of the row.
#[inline(always)]
unsafe fn part<L: Lanes>(row: *const L::E, size: usize, start: isize, even: *mut L::E, odd: *mut L::E, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        vectors!(L, n, |at| {
            let (first, second) = L::parted(row, start + 2 * at.i as isize, size);
            at.store(first, even);
            at.store(second, odd);
        });
    }
}

/// `to[k] = row[start + k step]`, 0 outside of the row.
#[inline(always)]
unsafe fn line<L: Lanes>(row: *const L::E, size: usize, start: isize, step: usize, to: *mut L::E, n: usize) {
    // SAFETY: the caller's promise; `before..end` are the places inside of the row.
    unsafe {
        if step == 1 {
            vectors!(L, n, |at| at.store(L::window(row, start + at.i as isize, size), to));
            return;
        }
        if step == 2 {
            vectors!(L, n, |at| at.store(L::parted(row, start + 2 * at.i as isize, size).0, to));
            return;
        }
        let before = if start < 0 { (start.unsigned_abs().div_ceil(step)).min(n) } else { 0 };
        let last = size as isize - start;
        let end = if last <= 0 { 0 } else { (last as usize).div_ceil(step).min(n) }.max(before);
        to.write_bytes(0, before);
        to.add(end).write_bytes(0, n - end);
        let from = row.wrapping_offset(start);
        for k in before..end {
            *to.add(k) = *from.wrapping_add(k * step);
        }
    }
}
