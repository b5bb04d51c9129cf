/* On paper stands the beginning of the list, and a line that says what it is a part of. */

let PRINTED = 200; // images; all of them after `printAll`
let printedLine = null;

// Load every picture that is asked for, then print all of them.
async function printAll() {
  const usual = PRINTED, all = [...chosen];
  if (list) {
    await Promise.all(all.map(detailsOf));
    PRINTED = all.length;
    list.print(true);
    // A card gets its image as soon as its details are there, after what runs now.
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
    late ? ` ${many(late, 'picture')} had not been loaded yet and will be when this is printed again.` : '',
  ].join('');
}
