local actions = {}
actions["refresh"] = { ["disabled"] = obj.spec ~= nil and obj.spec.suspend == true }
return actions
