/* A virtual list of the chosen images: only rows in sight have elements. */

const TALLEST = 15e6; // pixels that every browser can scroll; longer lists are scrolled faster than their rows go by
const barHeight = () => document.querySelector('header').offsetHeight;

// `measure(width)` returns the images per row and the height of a row; `make(i, place)` the element of an image.
function virtualList(host, measure, make) {
  const live = new Map(); // place → element
  let across = 1, rowHeight = 1, count = 0, printing = false;

  function geometry() {
    const full = Math.ceil(count / across) * rowHeight, tall = Math.min(full, TALLEST);
    return { full, tall, offset: -host.getBoundingClientRect().top - barHeight() };
  }

  function inSight() { // first place in sight, end of the places in sight, offset of the rows in pixels
    const { full, tall, offset } = geometry();
    const scale = full > tall ? (full - innerHeight) / Math.max(1, tall - innerHeight) : 1;
    const top = Math.max(0, offset) * scale;
    if (printing) return [0, Math.min(count, PRINTED), 0];
    const first = Math.max(0, Math.floor((top - innerHeight / 3) / rowHeight)) * across;
    const last = Math.min(count, Math.ceil((top + 1.3 * innerHeight) / rowHeight) * across);
    return [first, last, Math.max(0, offset) - top];
  }

  function update() {
    const [first, last, shift] = inSight(), fresh = document.createDocumentFragment();
    for (const [place, node] of live) if (place < first || place >= last) forget(place, node);
    for (let place = first; place < last; place++) {
      if (!live.has(place)) fresh.append(added(place));
      live.get(place).style.top = `${Math.floor(place / across) * rowHeight + shift}px`;
    }
    host.append(fresh);
  }

  function added(place) {
    const node = make(chosen[place], place);
    setStyle(node, { width: `calc(${100 / across}% - var(--gap))`, left: `${100 * (place % across) / across}%` });
    live.set(place, node);
    return node;
  }

  function forget(place, node) {
    node.remove();
    live.delete(place);
  }

  function reset() {
    live.forEach((node, place) => forget(place, node));
    count = chosen.length;
    [across, rowHeight] = measure(host.clientWidth);
    host.style.height = `${geometry().tall}px`;
    update();
  }

  function resize() {
    const [newAcross, newHeight] = measure(host.clientWidth);
    if (newAcross !== across || newHeight !== rowHeight) reset(); else update();
  }

  function print(on) {
    printing = on;
    host.classList.toggle('printing', on);
    update();
    // Printing follows the order of the document; the screen places them absolutely.
    if (on) host.append(...[...live.keys()].sort((a, b) => a - b).map((place) => live.get(place)));
  }

  function step(key) { // number of places that a key moves by
    return { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -Infinity, End: Infinity }[key];
  }

  function focus(place) {
    const { full, tall } = geometry(), scale = full > tall ? tall / full : 1;
    const at = host.getBoundingClientRect().top + Math.floor(place / across) * rowHeight * scale;
    if (at < barHeight()) scrollBy(0, at - barHeight() - 4);
    else if (at + rowHeight > innerHeight) scrollBy(0, at + rowHeight - innerHeight + 4);
    update();
    const node = live.get(place);
    (node?.closest('a') || node?.querySelector('a'))?.focus({ preventScroll: true });
  }

  return { update, reset, resize, print, step, focus };
}
