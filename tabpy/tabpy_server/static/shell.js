/* What every view has: the way to the server, and buttons that copy. */

export const element = (id) => document.getElementById(id);

export function show(id, text) {
  element(id).textContent = text;
  element(id).hidden = !text;
}

/**
 * Returns the address of a route below the server's root: relative to this view, so that a path in
 * front of it works, and without the user:password@ it may have been opened with, which fetch
 * refuses.
 */
export function address(route) {
  return new URL(document.documentElement.dataset.root + route, location.origin + location.pathname);
}

/* Times, which the server writes in UTC, in words of the person's own zone and language */

// One for all: making it takes longer than writing a hundred times with it.
const words = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

for (const time of document.querySelectorAll("time")) {
  time.title = time.dateTime;
  time.textContent = words.format(new Date(time.dateTime));
}

/* Copy buttons */

async function copy(source) {
  // navigator.clipboard exists only over https and on localhost; a selection copies anywhere.
  if (navigator.clipboard) return navigator.clipboard.writeText(source.textContent);
  getSelection().selectAllChildren(source);
  if (!document.execCommand("copy")) throw new Error("copying was refused");
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.firstChild;
  const source = element(button.dataset.copy);
  let timer;
  button.addEventListener("click", async () => {
    try {
      await copy(source);
      label.data = "Copied";
      element("announcement").textContent = `Copied ${source.textContent}`;
    } catch {
      getSelection().selectAllChildren(source);
      label.data = "Selected";
      element("announcement").textContent = `Selected ${source.textContent}: copy it by keyboard`;
    }
    clearTimeout(timer);
    timer = setTimeout(() => { label.data = "Copy"; }, 2000);
  });
}
