/* The classes in figures: the table of all, each leading to its page. */

let figuresOfClasses = null;

// Of every class: images with that label, judged or not, and how many are right; images predicted as it, and how many
// of them have a label; images whose first map explains it. Every figure stands under the name of its set of images.
function classFigures() {
  if (figuresOfClasses) return figuresOfClasses;
  const found = classes.map((_, k) => ({
    k, labelled: 0, unjudged: 0, right: 0, predicted: 0, checked: 0, hits: 0, prob: 0,
    explained: 0, border: 0, area: 0,
  }));
  const { class: predicted, label, target, correct, prob, area, border } = columns;
  for (let i = 0; i < imageCount; i++) {
    const labelledAs = found[label[i]], predictedAs = found[predicted[i]];
    if (labelledAs && correct[i] < 0) labelledAs.unjudged++;
    else if (labelledAs) { labelledAs.labelled++; labelledAs.right += correct[i]; }
    if (predictedAs) {
      predictedAs.predicted++;
      predictedAs.prob += prob[i];
      if (correct[i] >= 0) { predictedAs.checked++; predictedAs.hits += correct[i]; }
    }
    if (target[i] >= 0 && !missing(area[i])) {
      const explained = found[target[i]];
      explained.explained++;
      explained.border += border[i];
      explained.area += area[i];
    }
  }
  return figuresOfClasses = found;
}

const recall = (one) => mean(one.right, one.labelled);
const precision = (one) => mean(one.hits, one.checked);
const f1 = (one) => mean(one.right + one.hits, one.labelled + one.checked);
const LABELLED = 'images with this label', PREDICTED = 'images predicted as it';
const EXPLAINED = 'images whose first map is of it', BOTH = 'both';
const CLASS_COLUMNS = [
  { name: 'class', of: '', value: (one) => classes[one.k] },
  { name: 'labelled', of: LABELLED, value: (one) => one.labelled, there: labelled, count: true },
  { name: 'recall', of: LABELLED, value: recall, there: labelled, title: 'Share of them that are predicted as it' },
  { name: 'predicted', of: PREDICTED, value: (one) => one.predicted, count: true },
  { name: 'precision', of: PREDICTED, value: precision, there: labelled,
    title: 'Share of those with a label that are labelled as it' },
  { name: 'mean probability', of: PREDICTED, value: (one) => mean(one.prob, one.predicted) },
  { name: 'F1', of: BOTH, value: f1, there: labelled, title: 'Harmonic mean of precision and recall' },
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
  const foot = labelled && h('tfoot', classMeansOf(met));
  view.append(
    scroller('Classes', h('table.figures', h('thead', head), h('tbody', rows), foot)),
    h('p.quiet', `The small images are mean maps. ${EVEN_HINT}`));
}

// Each class counts once. A class without a value, as one that is never predicted has no precision, is left out.
function classMeansOf(met) {
  const averaged = ({ value }) => {
    const known = met.map(value).filter((x) => !missing(x));
    return known.length ? meter(mean(known.reduce((a, b) => a + b, 0), known.length)) : '';
  };
  const shown = CLASS_COLUMNS.slice(1).map((one) => h('td', one.title ? averaged(one) : ''));
  return h('tr', h('td'), h('th', { scope: 'row', title: 'Each class counts once' }, 'mean of the classes'), shown);
}

function classHead(column) {
  const { by, down } = classSort, sorted = column === by;
  const sort = () => {
    classSort = { by: column, down: sorted ? !down : column !== CLASS_COLUMNS[0] };
    showView(false);
  };
  const order = sorted ? (down ? 'descending' : 'ascending') : 'none';
  return h('th', { scope: 'col', title: column.title, 'aria-sort': order },
    h('button', { onclick: sort }, column.name, sorted ? (down ? ' ↓' : ' ↑') : ''));
}

function inClassOrder(a, b) { // classes without a value last
  const { by, down } = classSort, x = by.value(a), y = by.value(b);
  if (x === y) return 0;
  if (missing(x) || missing(y)) return missing(x) ? 1 : -1;
  return (x < y ? -1 : 1) * (down ? -1 : 1);
}
