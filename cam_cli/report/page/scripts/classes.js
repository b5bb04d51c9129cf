/* The classes in figures: the table of all, each leading to its page. */

let figuresOfClasses = null;

// Of every class: images with that label, judged or not, and how many are right; images predicted as it; images whose
// first map explains it. These are three sets of images, so every figure is shown with its own.
function classFigures() {
  if (figuresOfClasses) return figuresOfClasses;
  const found = classes.map((_, k) => ({
    k, labelled: 0, unjudged: 0, right: 0, predicted: 0, prob: 0, explained: 0, border: 0, area: 0,
  }));
  const { class: predicted, label, target, correct, prob, area, border } = columns;
  for (let i = 0; i < imageCount; i++) {
    const labelledAs = found[label[i]], predictedAs = found[predicted[i]];
    if (labelledAs && correct[i] < 0) labelledAs.unjudged++;
    else if (labelledAs) { labelledAs.labelled++; labelledAs.right += correct[i]; }
    if (predictedAs) { predictedAs.predicted++; predictedAs.prob += prob[i]; }
    if (target[i] >= 0 && !missing(area[i])) {
      const explained = found[target[i]];
      explained.explained++;
      explained.border += border[i];
      explained.area += area[i];
    }
  }
  return figuresOfClasses = found;
}

const accuracy = (one) => mean(one.right, one.labelled);
const LABELLED = 'images with this label', PREDICTED = 'images predicted as it';
const EXPLAINED = 'images whose first map is of it';
const CLASS_COLUMNS = [
  { name: 'class', of: '', value: (one) => classes[one.k] },
  { name: 'labelled', of: LABELLED, value: (one) => one.labelled, there: labelled, count: true },
  { name: 'accuracy', of: LABELLED, value: accuracy, there: labelled },
  { name: 'predicted', of: PREDICTED, value: (one) => one.predicted, count: true },
  { name: 'mean probability', of: PREDICTED, value: (one) => mean(one.prob, one.predicted) },
  { name: 'explained', of: EXPLAINED, value: (one) => one.explained, count: true },
  { name: 'mean area', of: EXPLAINED, value: (one) => mean(one.area, one.explained) },
  { name: 'mean border', of: EXPLAINED, value: (one) => mean(one.border, one.explained) },
].filter(({ there = true }) => there);
let classSort = { by: CLASS_COLUMNS[0], down: false };

async function showClasses(view) {
  const means = await loadPart('means');
  if (state.view !== 'classes') return;
  if (state.of) showClass(view, means); else showClassTable(view, means);
}

function showClassTable(view, means) {
  const met = classFigures().filter((one) => one.labelled || one.predicted || one.explained).sort(inClassOrder);
  const rows = met.map((one) => h('tr',
    h('td.small', meanMap(means, one.k, 0, 36) || ''),
    h('th', { scope: 'row' }, h('a', linkTo({ of: classes[one.k] }), classes[one.k])),
    CLASS_COLUMNS.slice(1).map(({ value, count }) => h('td', count ? value(one) : meter(value(one))))));
  const width = (set) => CLASS_COLUMNS.filter(({ of }) => of === set).length;
  const sets = [...new Set(CLASS_COLUMNS.slice(1).map(({ of }) => of))];
  const groups = sets.map((set) => h('th.set', { scope: 'colgroup', colspan: width(set) }, set));
  const head = [h('tr', h('td.set', { colspan: 2 }), groups), h('tr', h('td', ''), CLASS_COLUMNS.map(classHead))];
  view.append(
    scroller('Classes', h('table.figures', h('thead', head), h('tbody', rows))),
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
