// Applies the chosen colours before the first paint; runs as a classic script in the head for that reason.
// No choice stored (or storage refused): the system's preference holds.
try {
  const theme = localStorage.getItem('nearfield-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // A browser that refuses storage still gets the page.
}
