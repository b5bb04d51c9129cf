/* The line of filters and the line below it: order, count and menu Export. Above gallery, table and distribution. */

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
    tagged.size ? field([['', 'every tag'], ...tagNames().map((one) => [one, one])], 'tag', 'Tag') : '',
    (data.attributes || []).filter(isChoice).map(({ name, groups }) =>
      field([['', `every ${name}`], ...groups.map((one) => [one, one])], GROUPED + name, name)),
    explain ? limited().map((name) => limits(name, RANGES[name])) : '',
  ];
}

const LIMITED = ['prob', 'area', 'border']; // those of them that always have their fields
const limited = () => [...new Set([...LIMITED, ...(state.view === 'scatter' ? axisNames() : [])])];

function limits(name, text) { // two fields, of shares in percent; the address holds shares of 1
  const short = (x) => String(Number(x.toPrecision(6))), [whole, unit] = isShare(name) ? [100, '%'] : [1, ''];
  const field = (value, placeholder, end) => h('input', {
    type: 'number', min: unit && 0, max: unit && 100, step: 'any', placeholder, onchange: change,
    value: value ? short(whole * Number(value)) : '', 'aria-label': `${text} ${end}${unit && ', percent'}`,
  });
  const [low, high] = state[name].split('~');
  const fields = [field(low, unit && '0', 'at least'), field(high, unit && '100', 'at most')];
  function change() {
    const [a, b] = fields.map((one) => one.value === '' ? '' : short(Number(one.value) / whole));
    go({ [name]: a || b ? `${a}~${b}` : '' });
  }
  return h('label.limits', text, fields[0], '–', fields[1], unit);
}

function displayLine(set) {
  const mapped = explain || captions, listed = mapped && ['gallery', 'table'].includes(state.view);
  const gallery = listed && state.view === 'gallery';
  const count = chosen.length.toLocaleString('en'), all = many(imageCount, 'image');
  return h('div.line', listed && explain && orderFields(), gallery && mapFields(), set.map(chip),
    set.length > 1 ? h('button.chip', { onclick: clearFilters }, 'clear all') : '',
    h('span.count', { 'aria-live': 'polite' }, chosen.length === imageCount ? all : `${count} of ${all}`),
    exportMenu());
}

function orderFields() {
  const { sort, desc } = orderAskedFor();
  const choose = (value) => go({ sort: value, desc: MEASURES.includes(value) && value !== 'prob' ? '1' : '' });
  const turn = { hint: 'Reverse the order', 'aria-pressed': String(desc) };
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
    alphaControl('tools'), legends(), dimmedLegend(),
    data.signs?.strength && choices(colours, state.map, (value) => go({ map: value }), 'Colours'),
    others.length ? choices(methods, method, (value) => go({ method: value, rank: '1' }), 'Method (m)') : '',
  ];
}

function chip(key) { // a filter that is set; a click removes it
  const title = 'Remove this filter';
  return h('button.chip', { title, onclick: () => go({ [key]: '' }) }, `${filterWords(key)} ×`);
}

function filterWords(key) {
  const limit = (one) => one && wordOf(key, Number(one));
  const value = RANGES[key] ? state[key].split('~').map(limit).join('–') : state[key];
  if (key.startsWith(GROUPED)) return `${key.slice(GROUPED.length)} ${state[key]}`;
  const name = { q: 'text', pred: 'predicted', right: '', status: '', ...RANGES }[key] ?? key;
  return `${name} ${value}`.trim();
}
