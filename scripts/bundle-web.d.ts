// Types of bundle-web.js, for the tests.

export declare const bundleWeb: (directory: string) => Promise<number>
