/* The gallery: every image under its map. */

const fileName = (path) => path.slice(path.lastIndexOf('/') + 1);

function showGallery(view) {
  const sheets = data.kind === 'activations', host = h(sheets ? 'div.cards.sheets' : 'div.cards');
  view.append(host, noneChosen());
  list = virtualList(host, (width) => {
    const across = Math.max(sheets ? 1 : 2, Math.floor(width / (sheets ? 420 : 196)));
    const words = sheets ? 30 : captions || (labelled && isNarrow()) ? 60 : 42; // a line more for label or caption
    return [across, Math.round(width / across * (sheets ? 0.72 : 1)) + words];
  }, (i, place) => card(i, place, sheets));
  list.reset();
}

function card(i, place, sheet) {
  const { image, correct, status } = columns, tile = h('div.tile');
  const said = h('div.said');
  detailsOf(i).then((details) => {
    tile.append(stage(i, details, 64));
    said.append(saidOf(details));
  }, showError);
  const words = [verdict(i), status[i] === BLANK ? h('em.tag', 'blank') : '', truth(i), tagLine(image[i])];
  return h('a', { class: `card ${correct[i] === 0 ? 'is-wrong' : ''}`, ...linkToImage(i, place) },
    tile,
    h('div.name', { title: image[i] }, fileName(image[i])),
    captions && status[i] !== FAILED ? said : sheet && status[i] === OK ? '' : h('div.verdict', words));
}

function linkToImage(i, place) { // opens the image, and remembers its place in the list
  const link = linkTo({ image: columns.image[i] });
  const remember = () => { cursor = place; };
  return { href: link.href, onfocus: remember, onclick(event) { remember(); link.onclick(event); } };
}

function noneChosen() {
  if (chosen.length) return '';
  if (!imageCount) return h('p.note', 'There is no image yet. ');
  return h('p.note', 'No image passes these filters. ', h('button', { onclick: clearFilters }, 'Clear them'));
}
