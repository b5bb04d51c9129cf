/* Names that a person gives to patterns, and a file that holds them. */

const patterns = JSON.parse(byId('data').textContent).patterns;
const fields = [...document.querySelectorAll('input[data-pattern]')];
const named = () => fields.filter((field) => field.value.trim());

function showCount() {
  const count = named().length;
  byId('export').disabled = !count;
  byId('named').textContent = count ? `${count} of ${fields.length} with a name` : 'No pattern has a name yet.';
}

function exportNames() {
  const rows = named().map((field) => ({ ...patterns[field.dataset.pattern], name: field.value.trim() }));
  const file = new Blob([`${JSON.stringify(rows, null, 2)}\n`], { type: 'application/json' });
  const link = h('a', { href: URL.createObjectURL(file), download: 'pattern-names.json' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

for (const field of fields) field.addEventListener('input', showCount);
byId('export')?.addEventListener('click', exportNames);
if (fields.length) showCount();
