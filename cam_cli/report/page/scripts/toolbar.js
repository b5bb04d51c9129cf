/* The line of filters and the line of what is shown, above the gallery, the table and the distribution. */

let search = null; // the field, kept while it is typed in

function showTools() {
  const tools = byId('tools'), set = FILTERS.filter((key) => state[key]);
  tools.hidden = !VIEWS[state.view].filtered;
  if (tools.hidden) return;
  const typing = document.activeElement === search && tools.firstChild;
  tools.replaceChildren(typing || filterLine(tools, set), displayLine(set));
  if (typing) search.focus();
  showAlpha();
}

function filterLine(tools, set) {
  const open = tools.querySelector('details')?.open ?? !isNarrow();
  search ||= h('input', {
    type: 'search', id: 'search', placeholder: 'Search names and classes  /', 'aria-label': 'Search',
    oninput: () => go({ q: search.value }),
  });
  search.value = state.q;
  const count = set.length ? `Filters (${set.length})` : 'Filters';
  return h('div.line', search, h('details.filters', { open }, h('summary', count), h('div.line', filterFields())));
}

const isChoice = ({ kind, groups }) => kind === 'column' && groups.length <= 60; // an attribute of the toolbar
let classChoices = null;
function filterFields() {
  classChoices ||= [['', 'every class'], ...[...classes].sort().map((name) => [name, name])];
  const verdicts = [['', 'right and wrong'], ['wrong', 'wrong only'], ['right', 'right only']];
  const statuses = [['', 'every status'], ...STATUS.map((one) => [one, one])];
  const field = (pairs, key, title) => choices(pairs, state[key], (value) => go({ [key]: value }), title);
  return [
    explain && classes.length > 1 ? field(classChoices, 'class', 'Class') : '',
    labelled ? field(verdicts, 'right', 'Right or wrong (w)') : '',
    field(statuses, 'status', 'Status'),
    (data.attributes || []).filter(isChoice).map(({ name, groups }) =>
      field([['', `every ${name}`], ...groups.map((one) => [one, one])], GROUPED + name, name)),
    explain ? entries(RANGES).map(([name, text]) => limits(name, text)) : '',
  ];
}

function limits(name, text) { // two fields in percent; the address holds shares of 1
  const short = (x) => String(Number(x.toPrecision(6)));
  const field = (value, placeholder, end) => h('input', {
    type: 'number', min: 0, max: 100, step: 'any', placeholder, value: value ? short(100 * Number(value)) : '',
    'aria-label': `${text} ${end}, percent`, onchange: change,
  });
  const [low, high] = state[name].split('~'), fields = [field(low, '0', 'at least'), field(high, '100', 'at most')];
  function change() {
    const [a, b] = fields.map((one) => one.value === '' ? '' : short(Number(one.value) / 100));
    go({ [name]: a || b ? `${a}~${b}` : '' });
  }
  return h('label.limits', text, fields[0], '–', fields[1], '%');
}

function displayLine(set) {
  const listed = explain && state.view !== 'distribution', gallery = listed && state.view === 'gallery';
  const count = chosen.length.toLocaleString('en'), all = many(imageCount, 'image');
  return h('div.line', listed && orderFields(), gallery && mapFields(), set.map(chip),
    set.length > 1 ? h('button.chip', { onclick: clearFilters }, 'clear all') : '',
    h('span.count', { 'aria-live': 'polite' }, chosen.length === imageCount ? all : `${count} of ${all}`));
}

function orderFields() {
  const { sort, desc } = orderAskedFor();
  const choose = (value) => go({ sort: value, desc: MEASURES.includes(value) && value !== 'prob' ? '1' : '' });
  const turn = { hint: 'Turn the order round', 'aria-pressed': String(desc) };
  return [
    choices(SORTS, sort, choose, 'Order'),
    h('button', { ...turn, onclick: () => go({ sort, desc: desc ? '' : '1' }) }, desc ? '↓' : '↑'),
  ];
}

function mapFields() {
  const colours = keys(data.colormaps).map((one) => [one, one]), [first, ...others] = data.methods || [];
  const methods = [['', first], ...others.map((one) => [one, one])];
  const method = state.method === first ? '' : state.method;
  return [
    alphaControl('tools'), legends(),
    data.signs?.strength && choices(colours, state.map, (value) => go({ map: value }), 'Colours'),
    others.length ? choices(methods, method, (value) => go({ method: value, rank: '1' }), 'Method (m)') : '',
  ];
}

function chip(key) { // a filter that is set; a click removes it
  const title = 'Remove this filter';
  return h('button.chip', { title, onclick: () => go({ [key]: '' }) }, `${filterWords(key)} ×`);
}

function filterWords(key) {
  const share = (one) => one && percent(Number(one));
  const value = RANGES[key] ? state[key].split('~').map(share).join('–') : state[key];
  if (key.startsWith(GROUPED)) return `${key.slice(GROUPED.length)} ${state[key]}`;
  const name = { q: 'text', pred: 'predicted', right: '', status: '', ...RANGES }[key] ?? key;
  return `${name} ${value}`.trim();
}
