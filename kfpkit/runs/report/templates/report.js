// Gives an embedded page the height of its content, and dark colours where it has some.
const MOST = 4000;
function fit(frame) {
  const page = frame.contentDocument && frame.contentDocument.documentElement;
  if (!page || !frame.clientWidth) return;
  frame.classList.toggle('dark', getComputedStyle(page).colorScheme.includes('dark'));
  // A page is never lower than its window, and a scroll bar would take room from its text.
  frame.style.height = 0;
  page.style.overflow = 'hidden';
  const content = page.scrollHeight + frame.offsetHeight - frame.clientHeight;
  page.style.overflow = '';
  frame.style.height = Math.min(content, MOST) + 'px';
  const bar = frame.contentWindow.innerHeight - page.clientHeight;
  frame.style.height = Math.min(content + bar, MOST) + 'px';
}
const fitAll = within => within.querySelectorAll('iframe').forEach(fit);
document.addEventListener('load', ({target}) => {
  if (!target.matches('iframe')) return;
  fit(target);
  const inner = target.contentDocument;
  if (!inner) return;
  inner.addEventListener('toggle', () => fit(target), true);
  // The policy stops a link, and then leaves an empty page; those within the page can work.
  inner.addEventListener('click', event => {
    const link = event.target.closest('a[href]');
    if (!link) return;
    event.preventDefault();
    const place = inner.getElementById(link.getAttribute('href').slice(1));
    if (link.getAttribute('href').startsWith('#') && place) place.scrollIntoView();
  });
}, true);
document.addEventListener('toggle', event => fitAll(event.target), true);
addEventListener('resize', () => fitAll(document));
