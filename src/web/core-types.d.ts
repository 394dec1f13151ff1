// The types of src/core mention Node's Buffer. The page never sees one, and must not see the rest of Node's types either.

declare type Buffer = Uint8Array
