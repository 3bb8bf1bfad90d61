// Cannot be loaded.
require('./no-such-file.js');
