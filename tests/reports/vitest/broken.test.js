// Cannot be loaded.
import './no-such-file.js';
