//! The yardstick: what one core can do on W1 when nothing but speed counts.
//!
//! A table-driven kernel with the standard library alone: validate while scanning, map, convert units, look codes
//! up, refuse duplicates, choose a partition, write JSON. Schema and mapping are data, as a router that is
//! configured at run time has them. It is dense on purpose, trusts its input (no escapes, no text beyond ASCII),
//! counts with binary floats and keeps nothing: a measure, not an engine.
//!
//! usage: `yardstick EVENTS - THREADS`; prints counts and times as one line of JSON. It writes no outputs.
#![allow(clippy::all, clippy::pedantic)]

use std::arch::x86_64::*;
use std::time::Instant;
#[derive(Clone, Copy, Default)]
struct Slot {
    off: u32,
    len: u32,
    mant: i64,
    scale: u8,
    en: u8,
}
struct Field {
    key: [u8; 32],
    klen: usize,
    node: usize,
    bit: u64,
}
enum Node {
    Obj { f: Vec<Field>, req: u64 },
    Str { min: u32, max: u32, slot: usize, en: Vec<Vec<u8>> },
    Num { min: f64, max: f64, slot: usize },
    Arr { item: usize, max: u32, cnt: usize, base: usize, stride: usize },
}
static P10: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];
struct Ctx<'a> {
    b: &'a [u8],
    slots: [Slot; 128],
    counts: [u32; 4],
    shift: usize,
}
#[inline(always)]
unsafe fn str_end(p: *const u8) -> (usize, bool) {
    // p after opening quote -> (len, clean)
    let mut i = 0;
    let q = _mm256_set1_epi8(b'"' as i8);
    let bs = _mm256_set1_epi8(b'\\' as i8);
    let sp = _mm256_set1_epi8(0x20);
    loop {
        let v = _mm256_loadu_si256(p.add(i) as *const __m256i);
        let mq = _mm256_movemask_epi8(_mm256_cmpeq_epi8(v, q)) as u32;
        let bad =
            _mm256_movemask_epi8(_mm256_or_si256(_mm256_cmpeq_epi8(v, bs), _mm256_cmpgt_epi8(sp, v))) as u32; // sp>v (signed) catches ctl and >=0x80
        if mq != 0 {
            let t = mq.trailing_zeros();
            return (i + t as usize, bad & ((1u32 << t) - 1) == 0);
        }
        if bad != 0 {
            return (i, false);
        }
        i += 32;
    }
}
#[inline(always)]
unsafe fn num(p: *const u8) -> Option<(usize, i64, u8)> {
    let mut i = 0usize;
    let neg = *p == b'-';
    if neg {
        i = 1;
    }
    let st = i;
    let mut m: u64 = 0;
    while (*p.add(i)).wrapping_sub(b'0') < 10 {
        m = m.wrapping_mul(10) + (*p.add(i) - b'0') as u64;
        i += 1;
    }
    let nd = i - st;
    if nd == 0 || (nd > 1 && *p.add(st) == b'0') {
        return None;
    }
    let mut sc = 0u8;
    if *p.add(i) == b'.' {
        i += 1;
        let s = i;
        while (*p.add(i)).wrapping_sub(b'0') < 10 {
            m = m.wrapping_mul(10) + (*p.add(i) - b'0') as u64;
            i += 1;
        }
        sc = (i - s) as u8;
        if sc == 0 {
            return None;
        }
    }
    if nd + sc as usize > 15 || *p.add(i) | 0x20 == b'e' {
        return None;
    }
    Some((i, if neg { -(m as i64) } else { m as i64 }, sc))
}
#[inline(always)]
unsafe fn ws(mut p: *const u8) -> *const u8 {
    while *p <= b' ' && (*p == b' ' || *p == b'\t' || *p == b'\r' || *p == b'\n') {
        p = p.add(1);
    }
    p
}
unsafe fn val(ns: &[Node], n: usize, mut p: *const u8, c: &mut Ctx) -> Option<*const u8> {
    let base = c.b.as_ptr();
    match &ns[n] {
        Node::Obj { f, req } => {
            if *p != b'{' {
                return None;
            }
            p = ws(p.add(1));
            let mut seen = 0u64;
            let mut pred = 0usize;
            if *p == b'}' {
                return if *req == 0 { Some(p.add(1)) } else { None };
            }
            loop {
                // predicted order first: compare whole `"key":` in one 32-byte load
                let mut hit = usize::MAX;
                let v = _mm256_loadu_si256(p as *const __m256i);
                for k in 0..f.len() {
                    let mut j = pred + k;
                    if j >= f.len() {
                        j -= f.len();
                    }
                    let fd = f.get_unchecked(j);
                    let kv = _mm256_loadu_si256(fd.key.as_ptr() as *const __m256i);
                    let m = _mm256_movemask_epi8(_mm256_cmpeq_epi8(v, kv)) as u32;
                    let need = (1u32 << fd.klen) - 1;
                    if m & need == need {
                        hit = j;
                        break;
                    }
                }
                if hit == usize::MAX {
                    return None;
                }
                let fd = f.get_unchecked(hit);
                if seen & fd.bit != 0 {
                    return None;
                }
                seen |= fd.bit;
                pred = hit + 1;
                if pred == f.len() {
                    pred = 0;
                }
                p = ws(p.add(fd.klen));
                p = val(ns, fd.node, p, c)?;
                p = ws(p);
                if *p == b',' {
                    p = ws(p.add(1));
                    continue;
                }
                if *p == b'}' {
                    break;
                }
                return None;
            }
            if seen & req != *req {
                return None;
            }
            Some(p.add(1))
        }
        Node::Str { min, max, slot, en } => {
            if *p != b'"' {
                return None;
            }
            let s = p.add(1);
            let (l, clean) = str_end(s);
            if !clean {
                return None; /*slow path: unescape + UTF-8 check*/
            }
            if (l as u32) < *min || (l as u32) > *max {
                return None;
            }
            let sl = c.slots.get_unchecked_mut(*slot + c.shift);
            sl.off = s.offset_from(base) as u32;
            sl.len = l as u32;
            if !en.is_empty() {
                let raw = std::slice::from_raw_parts(s, l);
                let mut k = 0;
                loop {
                    if k == en.len() {
                        return None;
                    }
                    if en[k] == raw {
                        sl.en = k as u8;
                        break;
                    }
                    k += 1;
                }
            }
            Some(s.add(l + 1))
        }
        Node::Num { min, max, slot } => {
            let (l, m, sc) = num(p)?;
            let v = m as f64 / P10[sc as usize];
            if v < *min || v > *max {
                return None;
            }
            let sl = c.slots.get_unchecked_mut(*slot + c.shift);
            *sl = Slot { off: p.offset_from(base) as u32, len: l as u32, mant: m, scale: sc, en: 0 };
            Some(p.add(l))
        }
        Node::Arr { item, max, cnt, base: _b, stride } => {
            if *p != b'[' {
                return None;
            }
            p = ws(p.add(1));
            let mut k = 0u32;
            let old = c.shift;
            if *p != b']' {
                loop {
                    if k >= *max {
                        return None;
                    }
                    c.shift = old + k as usize * stride;
                    c.slots[40 + c.shift].len = 0;
                    p = val(ns, *item, p, c)?;
                    k += 1;
                    p = ws(p);
                    if *p == b',' {
                        p = ws(p.add(1));
                        continue;
                    }
                    if *p == b']' {
                        break;
                    }
                    return None;
                }
            }
            c.shift = old;
            c.counts[*cnt] = k;
            Some(p.add(1))
        }
    }
}
enum Op {
    Lit(Vec<u8>),
    Raw(usize),
    Seg(usize, usize),
    Conv { s: usize, mul: f64, add: f64, by: usize, f: Vec<f64> },
    Code { s: usize, t: Vec<Vec<u8>> },
    Each { cnt: usize, stride: usize, ops: Vec<Op> },
    UnitConv { v: usize, u: usize },
}
struct W {
    p: *mut u8,
}
impl W {
    #[inline(always)]
    unsafe fn raw(&mut self, s: *const u8, l: usize) {
        if l <= 32 {
            _mm256_storeu_si256(self.p as *mut __m256i, _mm256_loadu_si256(s as *const __m256i));
        } else {
            std::ptr::copy_nonoverlapping(s, self.p, l);
        }
        self.p = self.p.add(l);
    }
    #[inline(always)]
    unsafe fn fixed6(&mut self, v: f64) {
        let mut r = (v * 1e6).round() as i64;
        if r < 0 {
            *self.p = b'-';
            self.p = self.p.add(1);
            r = -r;
        }
        let ip = (r / 1_000_000) as u64;
        let mut fp = (r % 1_000_000) as u32;
        let mut t = [0u8; 20];
        let mut i = 20;
        let mut x = ip;
        loop {
            i -= 1;
            t[i] = b'0' + (x % 10) as u8;
            x /= 10;
            if x == 0 {
                break;
            }
        }
        std::ptr::copy_nonoverlapping(t.as_ptr().add(i), self.p, 20 - i);
        self.p = self.p.add(20 - i);
        if fp != 0 {
            let mut d = 6;
            while fp % 10 == 0 {
                fp /= 10;
                d -= 1;
            }
            *self.p = b'.';
            for k in (0..d).rev() {
                *self.p.add(1 + k) = b'0' + (fp % 10) as u8;
                fp /= 10;
            }
            self.p = self.p.add(1 + d);
        }
    }
}
unsafe fn emit(ops: &[Op], c: &Ctx, sh: usize, w: &mut W) {
    let b = c.b.as_ptr();
    for o in ops {
        match o {
            Op::Lit(l) => w.raw(l.as_ptr(), l.len() - 32),
            Op::Raw(s) => {
                let s = &c.slots[*s + sh];
                w.raw(b.add(s.off as usize), s.len as usize)
            }
            Op::Seg(s, n) => {
                let s = &c.slots[*s];
                let raw = std::slice::from_raw_parts(b.add(s.off as usize), s.len as usize);
                let mut st = 0;
                let mut k = 0;
                for i in 0..=raw.len() {
                    if i == raw.len() || raw[i] == b'/' {
                        if k == *n {
                            w.raw(raw.as_ptr().add(st), i - st);
                            break;
                        }
                        k += 1;
                        st = i + 1;
                    }
                }
            }
            Op::Conv { s, mul, add, by, f } => {
                let v = &c.slots[*s];
                let k = if f.is_empty() { *mul } else { f[c.slots[*by].en as usize] };
                if k == 1.0 && *add == 0.0 {
                    w.raw(b.add(v.off as usize), v.len as usize)
                } else {
                    w.fixed6(v.mant as f64 / P10[v.scale as usize] * k + *add)
                }
            }
            Op::Code { s, t } => {
                let l = &t[c.slots[*s].en as usize];
                w.raw(l.as_ptr(), l.len() - 32)
            }
            Op::Each { cnt, stride, ops } => {
                for k in 0..c.counts[*cnt] as usize {
                    if k > 0 {
                        *w.p = b',';
                        w.p = w.p.add(1);
                    }
                    emit(ops, c, k * stride, w);
                }
            }
            Op::UnitConv { v, u } => {
                let x = &c.slots[*v + sh];
                let us = &c.slots[*u + sh];
                let raw = std::slice::from_raw_parts(b.add(us.off as usize), us.len as usize);
                let d = x.mant as f64 / P10[x.scale as usize];
                let (val, un): (f64, &[u8]) = match raw {
                    b"degF" => ((d - 32.0) / 1.8, b"CEL"),
                    b"psi" => (d * 0.0689476, b"BAR"),
                    _ => (d, raw),
                };
                w.fixed6(val);
                std::ptr::copy_nonoverlapping(b",\"unit\":\"".as_ptr(), w.p, 9);
                w.p = w.p.add(9);
                std::ptr::copy_nonoverlapping(un.as_ptr(), w.p, un.len());
                w.p = w.p.add(un.len());
                *w.p = b'"';
                w.p = w.p.add(1);
            }
        }
    }
}
#[inline(always)]
unsafe fn hash(p: *const u8, n: usize) -> u64 {
    let mut h = 0xcbf29ce484222325u64 ^ n as u64;
    let mut i = 0;
    while i + 8 <= n {
        let v = (p.add(i) as *const u64).read_unaligned();
        let m = (h ^ v) as u128 * 0x9E3779B97F4A7C15u128;
        h = m as u64 ^ (m >> 64) as u64;
        i += 8;
    }
    let mut v = 0u64;
    for k in i..n {
        v = v << 8 | *p.add(k) as u64;
    }
    let m = (h ^ v) as u128 * 0xD6E8FEB86659FD93u128;
    m as u64 ^ (m >> 64) as u64
}
fn pad(s: &str) -> Vec<u8> {
    let mut v = s.as_bytes().to_vec();
    v.extend_from_slice(&[0; 32]);
    v
}
fn fld(k: &str, node: usize, bit: u32) -> Field {
    let s = format!("\"{}\":", k);
    let mut key = [0; 32];
    key[..s.len()].copy_from_slice(s.as_bytes());
    Field { key, klen: s.len(), node, bit: 1 << bit }
}
fn st(min: u32, max: u32, slot: usize) -> Node {
    Node::Str { min, max, slot, en: vec![] }
}
fn en(slot: usize, v: &[&str]) -> Node {
    Node::Str { min: 0, max: 999, slot, en: v.iter().map(|s| s.as_bytes().to_vec()).collect() }
}
fn build() -> (Vec<Node>, Vec<Op>) {
    use std::f64::INFINITY as I;
    let n = vec![
        /*0 root*/
        Node::Obj {
            f: vec![
                fld("specversion", 1, 0),
                fld("id", 2, 1),
                fld("source", 3, 2),
                fld("type", 4, 3),
                fld("time", 5, 4),
                fld("data", 6, 5),
            ],
            req: 63,
        },
        en(0, &["1.0"]),
        st(26, 26, 1),
        st(1, 128, 2),
        en(3, &["mes.operation.completed.v2", "mes.operation.started.v2"]),
        st(20, 35, 4),
        /*6 data*/
        Node::Obj {
            f: vec![
                fld("order", 7, 0),
                fld("operation", 8, 1),
                fld("workcenter", 9, 2),
                fld("material", 10, 3),
                fld("lot", 11, 4),
                fld("qty", 12, 5),
                fld("duration_s", 16, 6),
                fld("operator", 17, 7),
                fld("params", 18, 8),
            ],
            req: 0b001101111 & !16,
        },
        st(1, 12, 5),
        st(4, 4, 6),
        st(0, 16, 7),
        st(0, 40, 8),
        st(0, 20, 9),
        /*12 qty*/
        Node::Obj { f: vec![fld("good", 13, 0), fld("scrap", 14, 1), fld("uom", 15, 2)], req: 7 },
        Node::Num { min: 0.0, max: I, slot: 10 },
        Node::Num { min: 0.0, max: I, slot: 11 },
        en(12, &["EA", "KG", "LB", "M"]),
        Node::Num { min: 0.0, max: 864000.0, slot: 13 },
        st(0, 12, 14),
        /*18*/ Node::Arr { item: 19, max: 20, cnt: 0, base: 38, stride: 4 },
        /*19*/ Node::Obj { f: vec![fld("n", 20, 0), fld("v", 21, 1), fld("u", 22, 2)], req: 3 },
        st(0, 64, 38),
        Node::Num { min: -I, max: I, slot: 39 },
        st(0, 16, 40),
    ];
    let l = |s: &str| Op::Lit(pad(s));
    let kg = vec![1.0, 1.0, 0.45359237, 1.0];
    let o = vec![
        l("{\"eventId\":\""),
        Op::Raw(1),
        l("\",\"plant\":\""),
        Op::Seg(2, 2),
        l("\",\"line\":\""),
        Op::Seg(2, 4),
        l("\",\"ts\":\""),
        Op::Raw(4),
        l("\",\"orderNo\":\""),
        Op::Raw(5),
        l("\",\"opNo\":\""),
        Op::Raw(6),
        l("\",\"resource\":\""),
        Op::Raw(7),
        l("\",\"materialNo\":\""),
        Op::Raw(8),
        l("\",\"batch\":\""),
        Op::Raw(9),
        l("\",\"yieldQty\":"),
        Op::Conv { s: 10, mul: 1.0, add: 0.0, by: 12, f: kg.clone() },
        l(",\"scrapQty\":"),
        Op::Conv { s: 11, mul: 1.0, add: 0.0, by: 12, f: kg },
        l(",\"unit\":\""),
        Op::Code { s: 12, t: vec![pad("PCE"), pad("KGM"), pad("KGM"), pad("MTR")] },
        l("\",\"durationMin\":"),
        Op::Conv { s: 13, mul: 1.0 / 60.0, add: 0.0, by: 0, f: vec![] },
        l(",\"params\":["),
        Op::Each {
            cnt: 0,
            stride: 4,
            ops: vec![
                l("{\"name\":\""),
                Op::Raw(38),
                l("\",\"value\":"),
                Op::UnitConv { v: 39, u: 40 },
                l("}"),
            ],
        },
        l("]}\n"),
    ];
    (n, o)
}
struct Dedup {
    k: Vec<u64>,
    mask: usize,
}
impl Dedup {
    #[inline(always)]
    fn ins(&mut self, h: u64) -> bool {
        let h = h | 1;
        let mut i = (h >> 20) as usize & self.mask;
        loop {
            let e = self.k[i];
            if e == 0 {
                self.k[i] = h;
                return true;
            }
            if e == h {
                return false;
            }
            i = (i + 1) & self.mask;
        }
    }
}
fn run(
    slab: &[u8],
    n: usize,
    mode: u32,
    dd: &mut Dedup,
    out: &mut [u8],
    lens: &mut [u64; 16],
) -> (usize, usize) {
    let (ns, ops) = build();
    let mut c = Ctx { b: slab, slots: [Slot::default(); 128], counts: [0; 4], shift: 0 };
    let mut i = 0;
    let mut ok = 0;
    let mut ob = 0;
    unsafe {
        while i < n {
            let p = slab.as_ptr().add(i);
            c.shift = 0;
            match val(&ns, 0, p, &mut c) {
                Some(e) => {
                    i = e.offset_from(slab.as_ptr()) as usize + 1;
                    if mode >= 1 {
                        let id = c.slots[1];
                        if !dd.ins(hash(slab.as_ptr().add(id.off as usize), id.len as usize)) {
                            continue;
                        }
                        let wc = c.slots[7];
                        let part = hash(slab.as_ptr().add(wc.off as usize), wc.len as usize) & 15;
                        lens[part as usize] += 1;
                        if mode >= 2 {
                            let o = out.as_mut_ptr().add((ok & 63) * 1024);
                            let mut w = W { p: o };
                            emit(&ops, &c, 0, &mut w);
                            ob += w.p.offset_from(o) as usize;
                        }
                    }
                    ok += 1;
                }
                None => {
                    while slab[i] != b'\n' {
                        i += 1;
                    }
                    i += 1;
                }
            }
        }
    }
    (ok, ob)
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

/// Processor time of this thread in nanoseconds (`CLOCK_THREAD_CPUTIME_ID` of Linux is 3).
fn cpu() -> u64 {
    let mut time = [0i64; 2];
    // SAFETY: on 64-bit Linux a `timespec` is two words of 64 bits, which is what the call fills in.
    assert_eq!(unsafe { clock_gettime(3, &mut time) }, 0);
    (time[0] * 1_000_000_000 + time[1]) as u64
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(threads)) = (args.next(), args.nth(1).and_then(|text| text.parse::<usize>().ok()))
    else {
        eprintln!("usage: yardstick EVENTS - THREADS");
        std::process::exit(2);
    };
    let mut slab = std::fs::read(path).unwrap();
    let bytes = slab.len();
    slab.extend_from_slice(&[0; 128]);
    let messages = slab[..bytes].iter().filter(|&&byte| byte == b'\n').count();
    let window = (2 * messages).next_power_of_two();
    // Twice: the first run warms up.
    let mut spent = (0, 0, 0, 0);
    for _ in 0..2 {
        let ready = std::sync::Barrier::new(threads);
        let parts: Vec<[u64; 4]> = std::thread::scope(|scope| {
            let work = || {
                let mut dedup = Dedup { k: vec![0; window], mask: window - 1 };
                dedup.k.fill(0);
                let (mut out, mut partitions) = (vec![0u8; 1 << 17], [0; 16]);
                ready.wait();
                let (began, before) = (Instant::now(), cpu());
                let (accepted, written) = run(&slab, bytes, 2, &mut dedup, &mut out, &mut partitions);
                [began.elapsed().as_nanos() as u64, cpu() - before, accepted as u64, written as u64]
            };
            let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            started.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let wall = parts.iter().map(|part| part[0]).max().unwrap_or(0);
        let sum = |index: usize| parts.iter().map(|part| part[index]).sum::<u64>();
        spent = (wall, sum(1), sum(2), sum(3));
    }
    let (wall, used, accepted, written) = spent;
    println!(
        "{{\"messages\":{},\"accepted\":{accepted},\"rejected\":{},\"duplicates\":0,\"bytes_out\":{written},\
         \"wall_ns\":{wall},\"cpu_ns\":{used}}}",
        messages * threads,
        (messages * threads) as u64 - accepted
    );
}
