/* Zoom of the large image: whole, or in pixels of the original; it scrolls, and is dragged with the pointer. */

const ZOOMS = [['', 'whole'], ['1', '100 %'], ['2', '200 %'], ['4', '400 %']];

function zoomControl(details) {
  if (!details.width) return '';
  const button = ([value, text]) => h('button', {
    'data-keep': `zoom ${text}`, 'aria-pressed': String(state.zoom === value),
    title: value ? `${text} of the ${details.width} × ${details.height} pixels of the original` : 'The whole image',
    onclick: () => go({ zoom: value }),
  }, text);
  const small = isZoomed() && !data.base && details.original;
  return h('div.line', h('div.segments', { role: 'group', 'aria-label': 'Zoom (z)' }, ZOOMS.map(button)),
    small && h('span.quiet', 'This page holds a smaller copy; the link “original” opens the file.'));
}

const isZoomed = () => ZOOMS.some(([value]) => value && value === state.zoom);

function nextZoom() {
  const at = ZOOMS.findIndex(([value]) => value === state.zoom);
  go({ zoom: ZOOMS[(at + 1) % ZOOMS.length][0] });
}

// Give the stage its size, and show the original in place of the thumbnail where the browser may read it.
function zoomed(element, theatre, details) {
  const scale = Number(state.zoom);
  setStyle(element, { width: `${details.width * scale}px`, height: `${details.height * scale}px` });
  theatre.classList.add('zoomed');
  theatre.tabIndex = 0;
  if (scale >= 2) element.classList.add('pixels');
  const image = element.querySelector('img');
  if (image && data.base && details.original && details.kind === 'picture') {
    const small = image.src;
    image.onerror = () => { image.onerror = null; image.src = small; };
    image.src = details.original;
  }
  drag(theatre);
  requestAnimationFrame(() => centre(theatre, details));
}

function centre(theatre, details) { // on what the map shows
  const map = mapOf(details), [x, y] = map && !isNothing(map.center_x) ? [map.center_x, map.center_y] : [0.5, 0.5];
  const { scrollWidth, scrollHeight, clientWidth, clientHeight } = theatre;
  theatre.scrollTo(x * scrollWidth - clientWidth / 2, y * scrollHeight - clientHeight / 2);
}

function drag(theatre) {
  let from = null;
  theatre.addEventListener('pointerdown', (event) => {
    if (event.button || event.pointerType === 'touch') return; // a finger scrolls by itself
    from = [event.clientX + theatre.scrollLeft, event.clientY + theatre.scrollTop];
    theatre.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  theatre.addEventListener('pointermove', (event) => {
    if (from) theatre.scrollTo(from[0] - event.clientX, from[1] - event.clientY);
  });
  for (const end of ['pointerup', 'pointercancel']) theatre.addEventListener(end, () => { from = null; });
}
