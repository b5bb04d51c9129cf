/* The classes in figures: the table of all, each leading to its page. */

let figuresOfClasses = null;

// Of every class: images with that label and how many are right; images predicted as it; maps that explain it.
function classFigures() {
  if (figuresOfClasses) return figuresOfClasses;
  const found = classes.map((_, k) => ({ k, images: 0, right: 0, predicted: 0, prob: 0, maps: 0, border: 0, area: 0 }));
  const { class: predicted, label, target, correct, prob, area, border } = columns;
  for (let i = 0; i < imageCount; i++) {
    const labelOf = correct[i] >= 0 && found[label[i]], predictedAs = found[predicted[i]];
    if (labelOf) { labelOf.images++; labelOf.right += correct[i] === 1; }
    if (predictedAs) { predictedAs.predicted++; predictedAs.prob += prob[i]; }
    if (target[i] >= 0 && !missing(area[i])) {
      const explained = found[target[i]];
      explained.maps++;
      explained.border += border[i];
      explained.area += area[i];
    }
  }
  return figuresOfClasses = found;
}

const accuracy = (one) => mean(one.right, one.images);
const CLASS_COLUMNS = [
  { name: 'class', value: (one) => classes[one.k] },
  { name: 'images', value: (one) => one.images, there: labelled, count: true },
  { name: 'accuracy', value: accuracy, there: labelled },
  { name: 'predicted', value: (one) => one.predicted, count: true },
  { name: 'mean probability', value: (one) => mean(one.prob, one.predicted) },
  { name: 'mean area', value: (one) => mean(one.area, one.maps) },
  { name: 'mean border', value: (one) => mean(one.border, one.maps) },
].filter(({ there = true }) => there);
let classSort = { by: CLASS_COLUMNS[0], down: false };

async function showClasses(view) {
  const means = await loadPart('means');
  if (state.view !== 'classes') return;
  if (state.of) showClass(view, means); else showClassTable(view, means);
}

function showClassTable(view, means) {
  const met = classFigures().filter((one) => one.images || one.predicted || one.maps).sort(inClassOrder);
  const rows = met.map((one) => h('tr',
    h('td.small', meanMap(means, one.k, 0, 36) || ''),
    h('th', { scope: 'row' }, h('a', linkTo({ of: classes[one.k] }), classes[one.k])),
    CLASS_COLUMNS.slice(1).map(({ value, count }) => h('td', count ? value(one) : meter(value(one))))));
  const head = h('tr', h('td', ''), CLASS_COLUMNS.map(classHead));
  view.append(
    h('div.scroll', h('table.figures', h('thead', head), h('tbody', rows))),
    h('p.quiet', `The small pictures are mean maps. ${EVEN_HINT}`));
}

function classHead(column) {
  const { by, down } = classSort, sorted = column === by;
  const sort = () => {
    classSort = { by: column, down: sorted ? !down : column !== CLASS_COLUMNS[0] };
    showView(false);
  };
  return h('th', { scope: 'col', 'aria-sort': sorted ? (down ? 'descending' : 'ascending') : 'none' },
    h('button', { onclick: sort }, column.name, sorted ? (down ? ' ↓' : ' ↑') : ''));
}

function inClassOrder(a, b) { // classes without a value last
  const { by, down } = classSort, x = by.value(a), y = by.value(b);
  if (x === y) return 0;
  if (missing(x) || missing(y)) return missing(x) ? 1 : -1;
  return (x < y ? -1 : 1) * (down ? -1 : 1);
}
