// Browsers start no worker for a page that is read from a disk. There the search runs in a hidden
// frame instead, which is of the page's own origin and speaks as a worker does.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = inner.document.createElement("script");
      this.loaded = new Promise((done, failed) => {
        script.onload = done;
        script.onerror = failed;
      });
      script.src = address;
      inner.document.body.append(script);
    }

    postMessage(data) {
      const say = () =>
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
      this.loaded.then(say);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
