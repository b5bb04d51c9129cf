/* Numbers as people read them. A value that is missing is NaN or null, and shown as a dash. */

const missing = Number.isNaN;
const isNothing = (x) => x === null || x === undefined || missing(x);
const percent = (x) => isNothing(x) ? '–' : (100 * x).toFixed(x > 0.9995 || x === 0 ? 0 : 1) + '\u202f%';
const figure = (x) => isNothing(x) ? '–' : Number(x.toPrecision(3)).toString();
const many = (count, word) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;
const mean = (sum, count) => count ? sum / count : NaN;
const percentOf = (share, whole) => `${100 * share / whole}%`;
