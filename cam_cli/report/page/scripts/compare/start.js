/* Start of the page: load the columns, show the state of the address, listen to events. */

function showView() {
  const view = byId('view');
  list = null;
  view.className = state.view;
  view.replaceChildren();
  showTools();
  byId('figures').hidden = state.view !== 'figures';
  if (state.view === 'pairs') showPairs(view);
  else showScatter();
  for (const tab of byId('tabs').children) {
    tab.setAttribute('aria-current', tab.dataset.view === state.view ? 'page' : 'false');
  }
}

async function start() {
  byId('view').append(h('p.note', 'Loading …'));
  try {
    await loadColumns();
  } catch (error) {
    byId('view').replaceChildren();
    showError(error);
    return;
  }
  const follow = (view) => (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go({ view }, true);
  };
  byId('tabs').append(...entries(VIEWS).map(([view, name]) =>
    h('a', { 'data-view': view, href: address({ view }), onclick: follow(view) }, name)));
  state = readAddress();
  select();
  showView();
  showAlpha();
  const followAddress = () => { if (address() !== (location.hash || '#')) become(readAddress()); };
  addEventListener('popstate', followAddress);
  addEventListener('hashchange', followAddress);
  addEventListener('scroll', scrolled, { passive: true });
  addEventListener('beforeprint', () => list?.print(true));
  addEventListener('afterprint', () => list?.print(false));
  new ResizeObserver(() => list?.resize()).observe(byId('view'));
}

let waiting = false;
function scrolled() { // once a frame
  if (!waiting) requestAnimationFrame(() => { waiting = false; list?.update(); });
  waiting = true;
}

start();
