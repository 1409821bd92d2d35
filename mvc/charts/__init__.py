"""Values in, pictures out: a chart as Vega-Lite, SVG, a page of HTML, or text. No files, no repository."""
