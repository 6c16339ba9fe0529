/* Nothing of its own: a page uses the file system of Emscripten's runtime through `FS`. */
int main(void) { return 0; }
