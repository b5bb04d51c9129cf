/* Start of the page: load the columns, show the state of the address, listen to events. */

async function start() {
  byId('view').append(h('p.note', 'Loading …'));
  try {
    await Promise.all([loadColumns(), loadAttributes()]);
  } catch (error) {
    byId('view').replaceChildren();
    showError(error);
    return;
  }
  loadTags();
  makeTabs();
  fillHelp();
  state = readAddress();
  showAlpha();
  select();
  showView(true);
  if (state.image) showViewer();
  listen();
  setTimeout(searchTexts, 500); // so that the first letter of a search need not wait
}

function listen() {
  addEventListener('popstate', followAddress);
  addEventListener('hashchange', followAddress);
  addEventListener('keydown', pressed);
  addEventListener('scroll', scrolled, { passive: true });
  addEventListener('beforeprint', beforePrint);
  addEventListener('afterprint', afterPrint);
  new ResizeObserver(resized).observe(byId('view'));
  const large = byId('large'), help = byId('help'), close = () => go({ image: '' });
  large.addEventListener('cancel', (event) => { event.preventDefault(); close(); });
  large.addEventListener('click', (event) => { if (event.target === large) close(); });
  help.addEventListener('click', () => help.close());
  byId('help-button').addEventListener('click', () => help.showModal());
  byId('copy')?.addEventListener('click', copyCommands);
}

let waiting = false;
function scrolled() { // once a frame
  if (!waiting) requestAnimationFrame(() => { waiting = false; list?.update(); });
  waiting = true;
}

function resized() {
  const filters = document.querySelector('.filters');
  if (filters && !isNarrow()) filters.open = true;
  list?.resize();
}

function copyCommands() { // a page opened from a disk has no clipboard of its own
  getSelection().selectAllChildren(byId('again'));
  document.execCommand('copy');
  byId('copy').textContent = 'Copied';
}

start();
