/* Orders of all images, each sorted once. */

const SORTS = [
  ['input', 'input order'], ['image', 'name'], ['class', 'predicted'],
  ['prob', 'probability'], ['area', 'area'], ['border', 'border'], ['entropy', 'entropy'],
];
const BY_NAME = ['class', 'label', 'target'];
const orders = new Map();

// Without a chosen order: the input order; wrong images by probability, the most confident first.
function orderAskedFor() {
  const { sort, desc, right, label, pred } = state;
  if (sort) return { sort, desc: !!desc };
  const wrongOnly = right === 'wrong' || (label && pred && label !== pred);
  return wrongOnly ? { sort: 'prob', desc: true } : { sort: 'input', desc: !!desc };
}

// Rows in ascending order, those without a value last; and how many have a value. An unknown name is the input order.
function orderBy(name) {
  if (name !== 'image' && !BY_NAME.includes(name) && !MEASURES.includes(name)) name = 'input';
  if (!orders.has(name)) orders.set(name, sorted(name));
  return orders.get(name);
}

function sorted(name) {
  const all = Uint32Array.from({ length: imageCount }, (_, i) => i);
  if (name === 'input') return [all, imageCount];
  if (name === 'image') {
    const names = columns.image;
    return [all.sort((a, b) => names[a] < names[b] ? -1 : names[a] > names[b] ? 1 : a - b), imageCount];
  }
  const values = BY_NAME.includes(name) ? ranksOf(columns[name]) : columns[name];
  const present = all.filter((i) => !missing(values[i])), absent = all.filter((i) => missing(values[i]));
  present.sort((a, b) => values[a] - values[b] || a - b);
  all.set(present);
  all.set(absent, present.length);
  return [all, present.length];
}

function ranksOf(column) { // the place of each class in the alphabet
  const ranks = new Float32Array(classes.length);
  [...classes.keys()].sort((a, b) => classes[a] < classes[b] ? -1 : 1).forEach((k, rank) => { ranks[k] = rank; });
  return Float32Array.from(column, (k) => k < 0 ? NaN : ranks[k]);
}
