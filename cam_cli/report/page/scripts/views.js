/* The views, their tabs, and the switch between them. */

const VIEWS = {
  gallery: { name: 'Gallery', key: 'g', filtered: true, show: showGallery, there: !training },
  table: { name: 'Table', key: 't', filtered: true, show: showTable, there: explain },
  classes: { name: 'Classes', key: 'c', show: showClasses, there: explain },
  confusion: { name: 'Confusion', key: 'x', show: showConfusion, there: explain && labelled },
  groups: { name: 'Groups', key: 'a', show: showGroups, there: !!data.audited },
  calibration: { name: 'Calibration', key: 'k', filtered: true, show: showCalibration, there: explain && labelled },
  scatter: { name: 'Scatter', key: 's', filtered: true, show: showScatter, there: explain },
  distribution: { name: 'Distribution', key: 'd', filtered: true, show: showDistribution, there: explain },
  curves: { name: 'Curves', key: 'c', there: training },
  matrix: { name: 'Confusion', key: 'x', show: showTrainingConfusion, there: training && !!data.confusion },
  epochs: { name: 'Over the epochs', key: 'e', show: showEpochs, there: training && keys(data.samples).length > 0 },
  failures: { name: 'Failures', key: 'f', there: !!byId('failures') },
  made: { name: 'Provenance', key: 'h', there: true },
};

let list = null; // the virtual list of the view, if it has one
let cursor = -1; // the place in it that was focused last
let shownView = '';

function showView(fresh) {
  const view = byId('view'), name = state.view + state.of, { show, filtered } = VIEWS[state.view];
  const held = document.activeElement?.closest?.('.table .head') ? orderAskedFor().sort : '';
  list = null;
  epochChanged = null;
  for (const other of keys(VIEWS)) if (byId(other)) byId(other).hidden = other !== state.view;
  showTools();
  view.className = state.view;
  view.replaceChildren();
  if (fresh) cursor = -1;
  if (fresh && scrollY > 0 && (shownView !== name || filtered)) scrollTo(0, 0);
  shownView = name;
  show?.(view);
  markTab();
  if (held) view.querySelector(`.head .${held} button`)?.focus();
}

function makeTabs() {
  const tab = ([name, view]) => {
    const change = { view: name, of: '', image: '' };
    return h('a', { 'data-view': name, title: `${view.name} (${view.key})`, ...linkTo(change) }, view.name);
  };
  byId('tabs').append(...entries(VIEWS).filter(([, view]) => view.there).map(tab));
}

function markTab() {
  const tabs = byId('tabs');
  for (const tab of tabs.children) tab.setAttribute('aria-current', tab.dataset.view === state.view ? 'page' : 'false');
  const tab = tabs.querySelector('[aria-current=page]');
  tabs.scrollLeft = tab.offsetLeft - tabs.clientWidth + tab.clientWidth + 20;
}
