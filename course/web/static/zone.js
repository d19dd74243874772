// Chooses the browser's own time zone in the form, unless one was chosen already. Without this
// script the list stands on the course's zone.
const list = document.querySelector("select[data-guess]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const option = list && [...list.options].find((each) => each.value === zone);
if (option) option.selected = true;
