/* Numbers as people read them, rounded in one way everywhere (cam_cli/report/rounding.py has the same rules for what
   the template writes). A value that is missing is NaN or null, and shown as a dash. */

const missing = Number.isNaN;
const isNothing = (x) => x === null || x === undefined || missing(x);
const figure = (x) => isNothing(x) ? '–' : Number(x.toPrecision(3)).toString(); // three significant digits
const many = (count, word) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;
const mean = (sum, count) => count ? sum / count : NaN;
const percentOf = (share, whole) => `${100 * share / whole}%`;

// A share of 1 with one decimal, halves to the even digit. A share between 0 and 1 never reads as 0 % or 100 %.
function percent(x) {
  if (isNothing(x)) return '–';
  if (x > 0 && x < 0.0005) return '<0.1\u202f%';
  if (x > 0.9995 && x < 1) return '>99.9\u202f%';
  const points = 100 * x;
  return `${(points % 1 === 0.25 ? points - 0.05 : points).toFixed(1)}\u202f%`; // toFixed rounds halves up
}

// About three equal steps of 1, 2 or 5 times a power of ten, from 0 to at least the largest count.
function countTicks(largest) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, largest / 3)));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => largest / one <= 3.5) || power * 10;
  return Array.from({ length: Math.max(1, Math.ceil(largest / step)) + 1 }, (_, k) => k * step);
}
