-- Nothing is read or written until it is resumed.
obj.spec.suspend = true
return obj
