//! Windows on an image as shifts of one stretch: a padded copy of some rows, parted by stride, on which the element that a
//! window's tap meets lies at a fixed distance from the window's own place. Leans on lanes.

use super::lanes::Float;

/// Which elements of an image (d, h, w) windows meet: window q's tap t meets `q step + shift[t]` on each axis.
pub struct View {
    pub size: [usize; 3],
    pub count: [usize; 3],
    pub step: [usize; 3],
    pub shifts: [Vec<isize>; 3],
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
        (!count.contains(&0)).then_some(View { size, count, step, shifts, low, phases, taps, axis })
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
    pub fn offsets(&self, band: &Band, list: &mut Vec<usize>) {
        list.clear();
        let each: usize = band.len.iter().product();
        for &(pd, od) in &self.taps[0] {
            for &(ph, oh) in &self.taps[1] {
                for &(pw, ow) in &self.taps[2] {
                    let phase = (pd * self.phases[1].len() + ph) * self.phases[2].len() + pw;
                    list.push(phase * each + (od * band.len[1] + oh) * band.len[2] + ow);
                }
            }
        }
    }

    /// Whether a band is the image as it lies.
    pub fn is_plain(&self) -> bool {
        self.taps() == 1 && self.count == self.size && self.step == [1; 3] && self.low == [0; 3]
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
    pub unsafe fn copy<E: Float>(&self, band: &Band, image: *const E, channels: usize, mut to: *mut E) {
        let [_, h, w] = self.size;
        let area = self.size.iter().product::<usize>();
        let mut begin = self.low;
        begin[self.axis] += (band.from * self.step[self.axis]) as isize;
        let at = |i: usize, phase: usize, k: usize| {
            let x = begin[i] + (phase + k * self.step[i]) as isize;
            (x >= 0 && x < self.size[i] as isize).then_some(x as usize)
        };
        for c in 0..channels {
            for &pd in &self.phases[0] {
                for &ph in &self.phases[1] {
                    for &pw in &self.phases[2] {
                        for d in 0..band.len[0] {
                            for y in 0..band.len[1] {
                                // SAFETY: only elements inside the image are read, and each row is written whole.
                                unsafe {
                                    match (at(0, pd, d), at(1, ph, y)) {
                                        (Some(d), Some(y)) => {
                                            let row = image.add(c * area + (d * h + y) * w);
                                            line(row, w, begin[2] + pw as isize, self.step[2], to, band.len[2]);
                                        }
                                        _ => fill(to, band.len[2]),
                                    }
                                    to = to.add(band.len[2]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn fill<E: Float>(to: *mut E, n: usize) {
    // SAFETY: the caller's promise. All bits 0 is the number 0.
    unsafe { to.write_bytes(0, n) }
}

/// `to[k] = row[start + k step]`, 0 outside of the row.
#[inline(always)]
unsafe fn line<E: Float>(row: *const E, size: usize, start: isize, step: usize, to: *mut E, n: usize) {
    let before = if start < 0 { (start.unsigned_abs().div_ceil(step)).min(n) } else { 0 };
    let last = size as isize - start;
    let end = if last <= 0 { 0 } else { (last as usize).div_ceil(step).min(n) }.max(before);
    // SAFETY: the caller's promise; `before..end` are the places inside of the row.
    unsafe {
        fill(to, before);
        fill(to.add(end), n - end);
        let from = row.wrapping_offset(start);
        match step {
            1 => to.add(before).copy_from_nonoverlapping(from.wrapping_add(before), end - before),
            2 => {
                for k in before..end {
                    *to.add(k) = *from.wrapping_add(2 * k);
                }
            }
            _ => {
                for k in before..end {
                    *to.add(k) = *from.wrapping_add(k * step);
                }
            }
        }
    }
}
