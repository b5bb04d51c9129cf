/* The images in sight: those that pass every filter, in the chosen order. */

let chosen = new Uint32Array(0); // their rows

function select() {
  const { sort, desc } = orderAskedFor(), [order, valued] = orderBy(sort);
  const wanted = tests(), kept = new Uint32Array(imageCount);
  let count = 0;
  for (let k = 0; k < imageCount; k++) {
    const i = order[desc && k < valued ? valued - 1 - k : k];
    let keep = true;
    for (let t = 0; keep && t < wanted.length; t++) keep = wanted[t](i);
    if (keep) kept[count++] = i;
  }
  chosen = kept.subarray(0, count);
}

function tests() { // the filters that are set, as functions of a row
  const found = [], { class: predicted, label, target, correct, status } = columns;
  const is = (column, value) => found.push((i) => column[i] === value);
  if (state.status) is(status, STATUS.indexOf(state.status));
  if (state.right) is(correct, state.right === 'right' ? 1 : 0);
  if (state.label) is(label, classes.indexOf(state.label));
  if (state.pred) is(predicted, classes.indexOf(state.pred));
  if (state.class) {
    const k = classes.indexOf(state.class);
    found.push((i) => predicted[i] === k || label[i] === k || target[i] === k);
  }
  for (const [name, { groups, codes }] of attributes) {
    if (state[GROUPED + name]) is(codes, groups.indexOf(state[GROUPED + name]));
  }
  for (const name of keys(RANGES)) {
    const limits = rangeOf(state[name]), values = columns[name];
    if (limits) found.push((i) => values[i] >= limits[0] && values[i] <= limits[1]);
  }
  if (state.tag) found.push((i) => tagsOf(columns.image[i]).includes(state.tag));
  if (state.q) {
    const texts = searchTexts();
    for (const word of state.q.toLowerCase().split(/\s+/).filter(Boolean)) found.push((i) => texts[i].includes(word));
  }
  return found;
}

function rangeOf(text) { // "0.2~0.5", "0.2~", "~0.5"
  const [low, high] = text.split('~').map((one) => one === '' ? NaN : Number(one));
  return text ? [missing(low) ? -Infinity : low, isNothing(high) ? Infinity : high] : null;
}

let texts = null;
function searchTexts() { // built once: name, predicted class and label of each image, in small letters
  const name = (k) => k < 0 ? '' : classes[k];
  const text = (image, i) => `${image}\n${name(columns.class[i])}\n${name(columns.label[i])}`.toLowerCase();
  return texts ||= columns.image.map(text);
}

const clearFilters = () => go(Object.fromEntries(FILTERS.map((key) => [key, ''])));
