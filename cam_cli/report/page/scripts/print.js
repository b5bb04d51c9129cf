/* Printing: the beginning of the list, under a line with the count of all images, the filters and the order. */

let PRINTED = 200; // images; all of them after `printAll`
let printedLine = null;

// Load the details of every image in sight, then print all of them.
async function printAll() {
  const usual = PRINTED, all = [...chosen];
  if (list) {
    await Promise.all(all.map(detailsOf));
    PRINTED = all.length;
    list.print(true);
    // A card gets its image once its details are loaded, after the current callback.
    await Promise.all(all.map(detailsOf));
    await new Promise((done) => { setTimeout(done); });
    await Promise.all([...byId('view').querySelectorAll('img')].map(loaded));
  }
  print();
  list?.print(false);
  PRINTED = usual;
}

function loaded(image) {
  image.loading = 'eager';
  return image.complete ? null : new Promise((done) => {
    image.onload = done;
    image.onerror = done;
  });
}

function beforePrint() {
  if (!list) return;
  list.print(true);
  printedLine = h('p.on-paper', printedWords());
  byId('view').prepend(printedLine);
}

function afterPrint() {
  list?.print(false);
  printedLine?.remove();
}

function printedWords() {
  const { sort, desc } = orderAskedFor(), printed = chosen.slice(0, PRINTED);
  const filters = FILTERS.filter((key) => state[key]).map(filterWords);
  const asked = chosen.length < imageCount ? ` (${filters.join(', ')}; ${imageCount.toLocaleString('en')} in all)` : '';
  const order = SORTS.find(([name]) => name === sort)?.[1] ?? sort;
  const all = many(chosen.length, 'image') + asked;
  const late = state.view === 'gallery' && printed.filter((i) => !isLoaded(i)).length;
  return [
    printed.length < chosen.length ? `The first ${printed.length} of ${all}` : all,
    `, by ${order}${desc ? ', descending' : ''}.`,
    printed.length < chosen.length ? ' “Print all” in the menu Export prints the rest.' : '',
    late ? ` Not loaded in time: ${many(late, 'image')}. Print again to see all.` : '',
  ].join('');
}
